#include "ekeyd/sinks/kernel_sink.h"

#include "ekeyd/runtime/log.h"

namespace ekey {

namespace {

// On kernels that raise POLLOUT by need: no more often than this, so that a pool that our push does not
// fill (no credit) cannot make us spin.
constexpr Duration shortest_rest = std::chrono::seconds(1);

Duration seconds(double s) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

} // namespace

Result<KernelSink::Options> KernelSink::parse(const config::Address& address) {
    if (!address.rest.empty()) {
        return fail("sink \"" + address.text + "\": kernel takes no \"" + address.rest +
                    "\": write kernel[,interval=SECONDS][,bytes=N][,credit=BITS]");
    }
    if (auto known = config::check_parameters(address, {"interval", "bytes", "credit"}); !known) {
        return tl::unexpected(known.error());
    }
    Options options;
    if (const std::string* text = address.find("interval")) {
        const auto value = config::parse_decimal("interval", *text, 1, 86400);
        if (!value) {
            return tl::unexpected(value.error());
        }
        options.interval = *value;
    }
    if (const std::string* text = address.find("bytes")) {
        const auto value = config::parse_number("bytes", *text, shortest, longest);
        if (!value) {
            return tl::unexpected(value.error());
        }
        options.bytes = static_cast<std::size_t>(*value);
    }
    if (const std::string* text = address.find("credit")) {
        const auto value = config::parse_number("credit", *text, 0, 8);
        if (!value) {
            return tl::unexpected(value.error());
        }
        options.credit = static_cast<unsigned>(*value);
    }
    return options;
}

KernelSink::KernelSink(Loop& loop, Pool& pool, std::string address, Options options,
                       std::unique_ptr<KernelPool> kernel)
    : pool_(pool), address_(std::move(address)), options_(options), kernel_(std::move(kernel)),
      block_(options.bytes), due_(loop), need_(loop) {
    due_.bind<&KernelSink::on_due>(this);
    need_.bind<&KernelSink::on_need>(this);
    // The first push is taken by the pool's next serve().
    pool_.turns().wait(*this);
}

bool KernelSink::serve(Pool& pool) {
    if (!pool.take(block_.span())) {
        return true;
    }
    const auto credited =
        push(*kernel_, block_.span(), options_.credit * static_cast<unsigned>(options_.bytes));
    wipe(block_.span());
    if (credited) {
        if (bytes_written_ == 0) {
            log::notice("the kernel's pool has its first bytes",
                        {{"bytes", options_.bytes}, {"bits_credited", *credited}});
        }
        bytes_written_ += options_.bytes;
        state_ =
            options_.credit > 0 && *credited == 0 ? "mixes without credit: CAP_SYS_ADMIN is missing" : "ok";
    } else {
        state_ = credited.error().what;
        log::warning("a push to the kernel failed", {{"reason", state_}});
    }
    last_push_ = Loop::now();
    due_.start(seconds(options_.interval));
    // Without credit the kernel would go on asking, since nothing counts.
    if (const int fd = kernel_->need_fd(); fd >= 0 && credited && *credited > 0) {
        need_.watch(fd, IoWatcher::writable);
    }
    return false;
}

void KernelSink::on_due() {
    need_.stop();
    pool_.turns().wait(*this);
    pool_.serve();
}

void KernelSink::on_need(int) {
    need_.stop();
    if (const Time at = last_push_ + shortest_rest; Loop::now() < at) {
        due_.at(at);
    } else {
        due_.stop();
        on_due();
    }
}

} // namespace ekey
