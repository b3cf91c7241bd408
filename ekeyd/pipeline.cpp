#include "ekeyd/pipeline.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {
// How long the pool keeps the place of one who was served: it takes one to two of these. A client's next
// request takes well below a millisecond on this host, and below one or two on a local network; the rest is
// for a host that is busy.
constexpr Duration term = std::chrono::milliseconds(5);
} // namespace

Pipeline::Pipeline(Loop& loop, std::size_t pool_size, Duration silence, UsbMaker make_usb)
    : loop_(loop), silence_(silence), conditioner_(make_locked<Conditioner>()), pool_(pool_size), term_(loop),
      make_usb_(make_usb) {
    // Paused sources start again once a quarter of the pool is free, not at each answer.
    pool_.on_low(pool_size - pool_size / 4, [this] { on_pool_low(); });
    term_.bind<&Pipeline::on_term_over>(this);
    pool_.turns().keep_places([this] { term_.start(term); });
}

Pipeline::~Pipeline() = default;

Result<void> Pipeline::check(const config::Settings& settings) {
    const auto check_all = [](const std::vector<config::Setting>& list, auto check_one) -> Result<void> {
        for (const config::Setting& setting : list) {
            const auto address = config::parse_address(setting.value);
            const Result<void> checked = address ? check_one(*address) : fail(address.error().what);
            if (!checked) {
                return fail(setting.where + ": " + checked.error().what);
            }
        }
        return {};
    };
    Result<void> checked = check_all(settings.source, check_source);
    if (checked) {
        checked = check_all(settings.listen, check_listener);
    }
    return checked ? check_all(settings.sink, check_sink) : checked;
}

// ---- the flow

void Pipeline::on_released(const Stage& stage, ByteView block) {
    const std::size_t slot = stage.identity().credit_slot;
    while (!block.empty()) {
        move_to_pool();
        if (conditioner_->ready()) {
            // No room: what more comes is stirred into the output that waits, and counts for nothing.
            conditioner_->absorb(block);
            break;
        }
        block = block.subspan(conditioner_->add(slot, block, stage.min_entropy()));
    }
    move_to_pool();
    pool_.serve();
    move_to_pool(); // the output that waited for room
    if (!paused_ && pool_.room() < Conditioner::output_size) {
        pause_sources(true);
    }
}

void Pipeline::move_to_pool() {
    while (conditioner_->ready() && pool_.room() >= Conditioner::output_size) {
        SecretArray<Conditioner::output_size> output;
        conditioner_->extract(output.span());
        if (xor_.mask(output.span(), Loop::now())) {
            pool_.put(output.span());
        }
    }
}

void Pipeline::on_stage_failed(const Stage& stage) {
    conditioner_->revoke(stage.identity().credit_slot);
}

void Pipeline::on_pool_low() {
    move_to_pool();
    if (paused_) {
        pause_sources(false);
    }
}

void Pipeline::on_term_over() {
    pool_.turns().end_term();
    pool_.serve();
}

void Pipeline::pause_sources(bool on) {
    paused_ = on;
    for (const auto& [number, stage] : stages_) {
        stage->pause(on);
    }
}

// ---- sources

Stage* Pipeline::stage(unsigned number) const {
    const auto found = stages_.find(number);
    return found == stages_.end() ? nullptr : found->second.get();
}

namespace {
tl::unexpected<Error> no_source(unsigned number) {
    return fail("there is no source number " + std::to_string(number));
}
} // namespace

std::vector<control::SourceRow> Pipeline::sources() const {
    std::vector<control::SourceRow> rows;
    for (const auto& [number, stage] : stages_) {
        rows.push_back({number, stage->status()});
    }
    return rows;
}

Result<unsigned> Pipeline::find(std::string_view id) const {
    for (const auto& [number, stage] : stages_) {
        if (stage->is(id)) {
            return number;
        }
    }
    return fail("no source has the number, serial or path '" + std::string(id) + "'");
}

Result<Statistics> Pipeline::statistics(unsigned number) const {
    const Stage* found = stage(number);
    if (found == nullptr) {
        return no_source(number);
    }
    return found->statistics();
}

Result<std::size_t> Pipeline::free_credit_slot() const {
    for (std::size_t slot = 0; slot < Conditioner::max_sources; ++slot) {
        const auto used = [slot](const auto& entry) { return entry.second->identity().credit_slot == slot; };
        if (std::none_of(stages_.begin(), stages_.end(), used)) {
            return slot;
        }
    }
    return fail("there are " + std::to_string(Conditioner::max_sources) +
                " sources already, the most that fit");
}

Result<unsigned> Pipeline::add_configured_source(std::string_view text) {
    auto address = config::parse_address(text);
    if (!address) {
        return tl::unexpected(address.error());
    }
    return add(std::move(*address), false);
}

Result<unsigned> Pipeline::add(config::Address address, bool must_open) {
    if (const UsbDriver* driver = finds_many(address)) {
        return add_finder(*driver, address);
    }
    auto source = make_source(address, {loop_, [this](const auto& serial) { return keyring_.find(serial); },
                                        [this] { return usb(); }});
    if (!source) {
        return tl::unexpected(source.error());
    }
    auto claims = parse_claims(address, **source);
    if (!claims) {
        return tl::unexpected(claims.error());
    }
    const std::string path = (*source)->status().path;
    if (auto present = find(path)) {
        // As in 1.1.5, adding again is no error: udev does it for a key that was known before it was pulled
        // out. One that is closed is looked for at once.
        Stage& known = *stage(*present);
        if (known.status().word == "Key closed. (Vanished?)") {
            known.reset();
        }
        return *present;
    }
    auto slot = free_credit_slot();
    if (!slot) {
        return tl::unexpected(slot.error());
    }
    const unsigned number = next_number_;
    auto made =
        std::make_unique<Stage>(loop_, Stage::Identity{number, *slot, address.text}, std::move(*source),
                                *claims, silence_, static_cast<StageOutlet&>(*this));
    if (auto started = made->start(must_open); !started) {
        return tl::unexpected(started.error());
    }
    if (paused_) {
        made->pause(true);
    }
    ++next_number_;
    stages_.emplace(number, std::move(made));
    log::notice("source added", {{"source", address.text}, {"number", number}});
    return number;
}

Result<unsigned> Pipeline::add_finder(const UsbDriver& driver, const config::Address& address) {
    // Its parameters now, and not when the first dongle comes.
    if (auto checked = check_source(address); !checked) {
        return tl::unexpected(checked.error());
    }
    auto backend = usb();
    if (!backend) {
        return tl::unexpected(backend.error());
    }
    const auto same = [&](const auto& finder) { return finder->address() == address.text; };
    if (std::none_of(finders_.begin(), finders_.end(), same)) {
        finders_.push_back(
            std::make_unique<UsbFinder>(loop_, **backend, driver, address, static_cast<FinderOwner&>(*this)));
    }
    return 0;
}

Result<usb::Backend*> Pipeline::usb() {
    if (!usb_) {
        auto made = make_usb_(loop_);
        if (!made) {
            return tl::unexpected(made.error());
        }
        usb_ = std::move(*made);
    }
    return usb_.get();
}

void Pipeline::on_found(const std::string& address) {
    if (auto added = add_configured_source(address); !added) {
        log::error("the dongle cannot be used", {{"source", address}, {"reason", added.error().what}});
    }
}

Result<unsigned> Pipeline::add_source(std::string_view where, std::optional<std::string_view> serial) {
    config::Address address;
    if (where.starts_with('/')) { // a path, as ekeyd 1.1.5 takes it; it may hold any character
        address.kind = "entropykey";
        address.rest = where;
        address.text = "entropykey:" + address.rest;
    } else {
        auto parsed = config::parse_address(where);
        if (!parsed) {
            return tl::unexpected(parsed.error());
        }
        address = std::move(*parsed);
    }
    if (serial) {
        address.parameters["serial"] = *serial;
    }
    return add(std::move(address), true);
}

Result<void> Pipeline::add_directory(std::string_view directory) {
    std::error_code error;
    std::filesystem::directory_iterator entries(std::filesystem::path(directory), error);
    if (error) {
        return fail(std::string(directory) + ": " + error.message());
    }
    for (const auto& entry : entries) {
        if (auto added = add_source(entry.path().string(), std::nullopt); !added) {
            log::warning("not added", {{"path", entry.path().string()}, {"reason", added.error().what}});
        }
    }
    return {};
}

Result<void> Pipeline::remove_source(unsigned number) {
    const auto found = stages_.find(number);
    if (found == stages_.end()) {
        return no_source(number);
    }
    on_stage_failed(*found->second);
    log::notice("source removed", {{"source", found->second->identity().address}, {"number", number}});
    stages_.erase(found);
    return {};
}

Result<void> Pipeline::reset_source(unsigned number) {
    Stage* found = stage(number);
    if (found == nullptr) {
        return no_source(number);
    }
    on_stage_failed(*found);
    found->reset();
    return {};
}

Result<std::size_t> Pipeline::load_keyring(std::string_view path) {
    auto read = config::Keyring::read(std::string(path));
    if (!read) {
        return tl::unexpected(read.error());
    }
    for (const std::string& line : read->skipped()) {
        log::warning("keyring line skipped", {{"keyring", path}, {"reason", line}});
    }
    keyring_ = std::move(*read);
    for (const auto& [number, stage] : stages_) {
        stage->keyring_changed();
    }
    return keyring_.size();
}

// ---- listeners and sinks

namespace {

template <class Part>
Result<void> remove_part(std::vector<std::unique_ptr<Part>>& parts, std::string_view address,
                         const char* what) {
    const auto found = std::find_if(parts.begin(), parts.end(),
                                    [&](const auto& part) { return part->address() == address; });
    if (found == parts.end()) {
        return fail("there is no " + std::string(what) + " '" + std::string(address) + "'");
    }
    parts.erase(found);
    return {};
}

template <class Part, class Make>
Result<void> add_part(std::vector<std::unique_ptr<Part>>& parts, std::string_view text, Make make) {
    auto address = config::parse_address(text);
    if (!address) {
        return tl::unexpected(address.error());
    }
    auto part = make(*address);
    if (!part) {
        return tl::unexpected(part.error());
    }
    parts.push_back(std::move(*part));
    return {};
}

} // namespace

Result<void> Pipeline::add_listener(std::string_view address) {
    return add_part(listeners_, address,
                    [this](const config::Address& a) { return make_listener(loop_, pool_, a); });
}

Result<void> Pipeline::remove_listener(std::string_view address) {
    auto removed = remove_part(listeners_, address, "listener");
    pool_.serve(); // others may have waited for one of its clients
    return removed;
}

Result<void> Pipeline::add_sink(std::string_view address) {
    auto added =
        add_part(sinks_, address, [this](const config::Address& a) { return make_sink(loop_, pool_, a); });
    pool_.serve(); // a sink that may write takes what is there now
    return added;
}

Result<void> Pipeline::remove_sink(std::string_view address) {
    auto removed = remove_part(sinks_, address, "sink");
    pool_.serve(); // others may have waited for it
    return removed;
}

std::vector<std::string> Pipeline::listeners() const {
    std::vector<std::string> lines;
    for (const auto& listener : listeners_) {
        const auto c = listener->counters();
        const auto field = [](const char* name, std::uint64_t v) {
            return "\t" + (name + ("=" + std::to_string(v)));
        };
        lines.push_back(listener->address() + field("clients", c.clients) + field("waiting", c.waiting) +
                        field("accepted", c.accepted) + field("refused", c.refused) +
                        field("requests", c.requests) + field("bytes", c.bytes_served) +
                        field("errors", c.protocol_errors));
    }
    return lines;
}

std::vector<std::string> Pipeline::sinks() const {
    std::vector<std::string> lines;
    for (const auto& sink : sinks_) {
        lines.push_back(sink->address() + "\tbytes=" + std::to_string(sink->bytes_written()) +
                        "\tstate=" + sink->state());
    }
    return lines;
}

// ---- health, captures, the end

Result<std::vector<std::string>> Pipeline::health(std::optional<unsigned> number) const {
    std::vector<std::string> lines;
    const auto add_all = [&lines](const Statistics& values) {
        for (const auto& [name, value] : values) {
            lines.push_back(name + "=" + value);
        }
    };
    if (number) {
        const Stage* found = stage(*number);
        if (found == nullptr) {
            return no_source(*number);
        }
        add_all(found->health());
        return lines;
    }
    char bits[32];
    std::snprintf(bits, sizeof bits, "%.0f", conditioner_->gathered_bits());
    add_all({{"PoolBytes", std::to_string(pool_.size())},
             {"PoolCapacity", std::to_string(pool_.capacity())},
             {"PoolBytesIn", std::to_string(pool_.counters().bytes_in)},
             {"PoolBytesOut", std::to_string(pool_.counters().bytes_out)},
             {"PoolWaiting", std::to_string(pool_.turns().size())},
             {"ConditionerBits", bits},
             {"XorReseeds", std::to_string(xor_.reseeds())},
             {"DrbgReseeds", std::to_string(pool_.drbg().reseeds())},
             {"DrbgBytesOut", std::to_string(pool_.drbg().bytes_out())}});
    for (const auto& [n, stage] : stages_) {
        add_all(stage->health());
    }
    return lines;
}

Result<void> Pipeline::begin_capture(unsigned number, std::uint64_t bytes,
                                     control::CaptureReceiver& receiver) {
    Stage* found = stage(number);
    if (found == nullptr) {
        return no_source(number);
    }
    return found->begin_capture(bytes, receiver);
}

void Pipeline::end_capture(control::CaptureReceiver& receiver) {
    for (const auto& [number, stage] : stages_) {
        stage->end_capture(receiver);
    }
}

void Pipeline::shutdown() {
    loop_.stop();
}

} // namespace ekey
