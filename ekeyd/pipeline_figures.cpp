// What metrics tell of the pipeline.
#include "ekeyd/metrics/host.h"
#include "ekeyd/pipeline.h"

namespace ekey {

metrics::Figures Pipeline::figures() const {
    metrics::Figures out;
    out.version = EKEYD_VERSION;
    out.host = metrics::host_name();
    out.started = std::chrono::duration<double>(started_.time_since_epoch()).count();
    out.cpu_seconds = metrics::cpu_seconds();
    for (const auto& [number, stage] : stages_) {
        out.sources.push_back(stage->figures());
    }
    const auto& drbg = pool_.drbg();
    out.pool = {pool_.size(),
                pool_.capacity(),
                pool_.counters().bytes_in,
                pool_.counters().bytes_out,
                pool_.turns().size(),
                conditioner_->gathered_bits(),
                xor_.reseeds(),
                drbg.reseeds(),
                drbg.bytes_out()};
    for (const auto& listener : listeners_) {
        const std::string where = listener->bound_address();
        out.listeners.push_back({where, listener->counters(), !where.starts_with("http:"), std::nullopt});
    }
    for (const auto& sink : sinks_) {
        out.sinks.push_back({sink->address(), sink->state(), sink->bytes_written()});
    }
    out.kernel = metrics::read_kernel();
    return out;
}

} // namespace ekey
