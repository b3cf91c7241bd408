#include "ekeyd/sinks/sink.h"

#include "ekeyd/sinks/fifo_sink.h"
#include "ekeyd/sinks/file_sink.h"
#include "ekeyd/sinks/kernel_sink.h"

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

Result<std::unique_ptr<Sink>> make_sink(Loop& loop, Pool& pool, const config::Address& address) {
    if (address.kind == "kernel") {
        return make_kernel_sink(loop, pool, address);
    }
    if (address.kind == "file") {
        return FileSink::make(loop, pool, address);
    }
    if (address.kind == "fifo") {
        return FifoSink::make(loop, pool, address);
    }
    std::string what = "sink \"" + address.text + "\": \"" + address.kind + "\" is no kind of sink";
    if (const auto near = config::nearest(address.kind, {"kernel", "file", "fifo"}); !near.empty()) {
        return fail(what + ": did you mean " + std::string(near) + "?");
    }
    return fail(what + ": expected kernel, file:/PATH or fifo:/PATH");
}

} // namespace ekey
