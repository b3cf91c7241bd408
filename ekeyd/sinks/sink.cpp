#include "ekeyd/sinks/sink.h"

#include "ekeyd/sinks/fifo_sink.h"
#include "ekeyd/sinks/file_sink.h"
#include "ekeyd/sinks/kernel_sink.h"
#include "ekeyd/sinks/parameters.h"

namespace ekey {

namespace {

Result<std::unique_ptr<Sink>> make_kernel_sink(Loop& loop, Pool& pool, const config::Address& address) {
    const auto options = KernelSink::parse(address);
    if (!options) {
        return tl::unexpected(options.error());
    }
    auto kernel = LinuxKernelPool::open();
    if (!kernel) {
        return fail("sink " + address.text + ": " + kernel.error().what);
    }
    return std::make_unique<KernelSink>(loop, pool, address.text, *options, std::move(*kernel));
}

} // namespace

Result<void> check_sink(const config::Address& address) {
    if (address.kind == "kernel") {
        const auto options = KernelSink::parse(address);
        return options ? Result<void>() : fail(options.error().what);
    }
    if (address.kind == "file" || address.kind == "fifo") {
        const auto rate = parse_stream_parameters(address);
        return rate ? Result<void>() : fail(rate.error().what);
    }
    std::string what = "sink \"" + address.text + "\": \"" + address.kind + "\" is no kind of sink";
    if (const auto near = config::nearest(address.kind, {"kernel", "file", "fifo"}); !near.empty()) {
        return fail(what + ": did you mean " + std::string(near) + "?");
    }
    return fail(what + ": expected kernel, file:/PATH or fifo:/PATH");
}

Result<std::unique_ptr<Sink>> make_sink(Loop& loop, Pool& pool, const config::Address& address) {
    if (auto checked = check_sink(address); !checked) {
        return tl::unexpected(checked.error());
    }
    if (address.kind == "kernel") {
        return make_kernel_sink(loop, pool, address);
    }
    return address.kind == "file" ? FileSink::make(loop, pool, address) : FifoSink::make(loop, pool, address);
}

} // namespace ekey
