// What the pipeline is made of, and the flow through it. Its other halves: pipeline_sources.cpp,
// pipeline_outlets.cpp.
#include "ekeyd/pipeline.h"

#include "ekeyd/http/make.h"

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
    pool_.on_wanted([this] { on_pool_low(); });
    term_.bind<&Pipeline::on_term_over>(this);
    pool_.turns().keep_places([this] { term_.start(term); });
}

Pipeline::~Pipeline() = default;

// Otherwise the second would say that the place is another program's.
Result<void> Pipeline::check_places(const std::vector<config::Setting>& listen) {
    std::map<std::string, const config::Setting*> places;
    for (const config::Setting& setting : listen) {
        const std::string place = without_parameters(setting.value);
        if (place.ends_with(":0")) { // a port that the kernel chooses is another one each time
            continue;
        }
        const auto [first, fresh] = places.emplace(place, &setting);
        if (!fresh) {
            return fail(setting.where + ": " + first->first +
                        " is given twice (first: " + first->second->where + ")");
        }
    }
    return {};
}

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
    if (settings.reserve > 0 && settings.reserve + Pool::least_shared > settings.pool_size) {
        const auto written = settings.where.find("reserve");
        return fail((written == settings.where.end() ? "" : written->second + ": ") + "reserve is " +
                    std::to_string(settings.reserve) + ": pool-size, which is " +
                    std::to_string(settings.pool_size) + ", must be at least " +
                    std::to_string(Pool::least_shared) + " more");
    }
    Result<void> checked = check_all(settings.source, check_source);
    if (checked) {
        checked = check_all(settings.listen, [](const config::Address& address) {
            return http::speaks(address) ? http::check_listener(address) : check_listener(address);
        });
    }
    if (checked) {
        checked = check_places(settings.listen);
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

Result<std::string> Pipeline::reload() {
    return reload_ ? reload_() : fail("there is no configuration to read again");
}

void Pipeline::shutdown() {
    loop_.stop();
}

} // namespace ekey
