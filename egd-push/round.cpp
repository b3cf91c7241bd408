#include "egd-push/round.h"

#include <algorithm>
#include <cassert>

#include "egd-push/mixture.h"
#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {
// Between two requests that something other than the timer calls for.
constexpr Duration shortest_rest = std::chrono::seconds(1);

double seconds(Duration d) {
    return std::chrono::duration<double>(d).count();
}
} // namespace

Round::Round(Loop& loop, Session& session, const std::vector<config::Address>& from)
    : session_(session), mixture_(session.options_.bytes), due_(loop), schedule_(session.options_.interval) {
    due_.bind<&Round::ask>(this);
    for (const config::Address& address : from) {
        members_.push_back(
            {std::make_unique<Upstream>(loop, *this, address, session.options_.bytes_to_fetch(),
                                        session.options_.timeout, session.self_),
             ""});
    }
}

void Round::ask() {
    ask_at(Time::max());
    asked_at_ = Loop::now();
    anew_ = false;
    // Some may answer or fail before ask() returns: the round is over only when all have been asked.
    outstanding_ = members_.size() + 1;
    if (session_.destination_.can_take()) {
        for (const Member& m : members_) {
            m.upstream->ask();
        }
    } else {
        complain("standard output takes nothing now");
        outstanding_ = 1;
    }
    if (--outstanding_ == 0) {
        settled();
    }
}

void Round::complain(const std::string& what) {
    log::write(trouble_ == what ? log::Level::debug : log::Level::error, "nothing was pushed",
               {{"to", session_.options_.to.text}, {"reason", what}});
    trouble_ = what;
}

void Round::ask_at(Time when) {
    due_at_ = when;
    due_.at(when);
}

void Round::ask_soon() {
    if (outstanding_ == 0) {
        ask_at(std::min(due_at_, std::max(Loop::now(), asked_at_ + shortest_rest)));
    }
}

void Round::ask_anew() {
    anew_ = outstanding_ != 0;
    ask_soon();
}

Round::Member& Round::member(const Upstream& upstream) {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const Member& m) { return m.upstream.get() == &upstream; });
    assert(found != members_.end());
    return *found;
}

void Round::on_answer(Upstream& upstream) {
    Member& from = member(upstream);
    if (!from.trouble.empty()) {
        log::notice("upstream: delivers again", {{"upstream", upstream.address().text}});
        from.trouble.clear();
    }
    if (--outstanding_ == 0) {
        settled();
    }
}

void Round::on_failure(Upstream& upstream, const std::string& why) {
    Member& from = member(upstream);
    const auto level = from.trouble == why ? log::Level::debug : log::Level::warning;
    log::write(session_.options_.once ? log::Level::error : level, "upstream: gave nothing",
               {{"upstream", upstream.address().text}, {"reason", why}});
    from.trouble = why;
    if (--outstanding_ == 0) {
        settled();
    }
}

void Round::settled() {
    const bool pushed = push_answers();
    if (session_.options_.once || session_.destination_.gone()) {
        session_.on_round_over(pushed);
        return;
    }
    if (pushed) {
        ask_at(schedule_.after_push(asked_at_));
    } else {
        const Time now = Loop::now(), again = schedule_.after_failure(now);
        log::debug("trying again", {{"upstream", members_.front().upstream->address().text},
                                    {"seconds", seconds(again - now)}});
        ask_at(again);
    }
    if (anew_) {
        ask_soon();
    }
}

// The bits that an upstream's answer may be credited with, by how it came and how many others gave theirs.
unsigned Round::credit_of(const Upstream& upstream) {
    if (is_constant(upstream.answer())) {
        log::warning("upstream: the answer is one value again and again; it gets no credit",
                     {{"upstream", upstream.address().text}});
        return 0;
    }
    unsigned a_byte = session_.options_.credit_for(upstream.address());
    if (!session_.options_.credit) {
        a_byte = std::min(a_byte, upstream.credit_advice());
    }
    return session_.quorum_.credit(upstream.server_key(),
                                   a_byte * static_cast<unsigned>(upstream.answer().size()), Loop::now());
}

bool Round::push_answers() {
    std::vector<ByteView> answers;
    std::string names;
    unsigned bits = 0; // what several make is as hard to guess as the hardest of them
    for (const Member& m : members_) {
        const ByteView answer = m.upstream->answer();
        if (!answer.empty()) {
            bits = std::max(bits, credit_of(*m.upstream));
            answers.push_back(answer);
            names += (names.empty() ? "" : " ") + m.upstream->address().text;
        }
    }
    if (answers.empty()) {
        return false;
    }
    mix_answers(answers, mixture_.span());
    const auto credited = session_.destination_.push(mixture_.span(), bits);
    wipe(mixture_.span());
    for (const Member& m : members_) {
        m.upstream->forget();
    }
    if (!credited) {
        complain(credited.error().what);
        return false;
    }
    trouble_.clear();
    log::info("pushed",
              {{"upstream", names}, {"bytes", session_.options_.bytes}, {"bits_credited", *credited}});
    session_.on_pushed(*credited);
    return true;
}

} // namespace ekey
