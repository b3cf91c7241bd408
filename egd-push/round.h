// Upstreams that are asked together, and whose answers make one push.
#pragma once

#include "egd-push/session.h"

namespace ekey {

class Round final : public UpstreamOwner {
  public:
    Round(Loop& loop, Session& session, const std::vector<config::Address>& from);

    void ask();
    // Asks now, or a second after the last time it asked, and never later than it would have asked anyhow;
    // nothing when it is asking already.
    void ask_soon();
    // The same; when it is asking already, it asks once more afterwards, because what is on its way belongs
    // to the time before: a copy of this machine gets it as well.
    void ask_anew();

  private:
    struct Member {
        std::unique_ptr<Upstream> upstream;
        std::string trouble; // why it gave nothing last time, or empty
    };
    void on_answer(Upstream& upstream) override;
    void on_failure(Upstream& upstream, const std::string& why) override;
    Member& member(const Upstream& upstream);

    void ask_at(Time when);
    void settled();
    unsigned credit_of(const Upstream& upstream);
    bool push_answers();
    void complain(const std::string& what); // about the destination

    Session& session_;
    std::vector<Member> members_;
    SecretBytes mixture_;
    std::size_t outstanding_ = 0; // upstreams that were asked and have neither answered nor failed
    Timer due_;
    Time due_at_ = Time::max(); // of the timer
    Time asked_at_{};
    bool anew_ = false; // once this round is over
    Schedule schedule_;
    std::string trouble_; // with the destination
};

} // namespace ekey
