#include "egd-push/option_table.h"

#include <algorithm>
#include <array>

#include "egd-push/upstream_address.h"
#include "ekeyd/config/unknown.h"

namespace ekey {

namespace {

using config::Address;

Duration seconds(double s) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

template <class T, class Use>
Result<void> then(Result<T> value, Use use) {
    if (!value) {
        return tl::unexpected(value.error());
    }
    use(*value);
    return {};
}

Result<void> set_from(PushRequest& request, std::string_view value) {
    auto address = config::parse_address(value);
    if (!address) {
        return tl::unexpected(address.error());
    }
    if (const auto known = check_upstream(*address); !known) {
        return known;
    }
    auto& from = request.options.from;
    if (std::any_of(from.begin(), from.end(), [&](const Address& a) { return a.text == address->text; })) {
        return fail("from " + address->text + " is given twice");
    }
    from.push_back(std::move(*address));
    return {};
}

Result<void> set_to(PushRequest& request, std::string_view value) {
    if (value == "-") {
        request.options.to = {"-", "", {}, "-"};
        return {};
    }
    auto address = config::parse_address(value);
    if (!address) {
        return tl::unexpected(address.error());
    }
    const bool is_file = address->kind == "file";
    if (const auto known =
            is_file ? config::check_parameters(*address, {"seed"}) : config::check_parameters(*address, {});
        !known) {
        return known;
    }
    if (const std::string* seed = address->find("seed")) {
        const auto wanted =
            then(config::parse_yes_no("seed", *seed), [&](bool yes) { request.options.seed = yes; });
        if (!wanted) {
            return wanted;
        }
    }
    const bool kernel = address->kind == "kernel" && address->rest.empty();
    const bool file = is_file && address->rest.starts_with('/') && address->rest.back() != '/';
    if (!kernel && !file) {
        return fail("to is \"" + address->text + "\": expected kernel, file:/PATH or - (standard output)");
    }
    request.options.to = std::move(*address);
    return {};
}

Result<void> set_credit(PushRequest& request, std::string_view value) {
    if (value == "auto") {
        request.options.credit.reset();
        return {};
    }
    const auto number = config::parse_number("credit", value, 0, 8);
    if (!number) {
        return fail(number.error().what + ", or auto");
    }
    request.options.credit = static_cast<unsigned>(*number);
    return {};
}

Result<void> set_once(PushRequest& request, std::string_view value) {
    return then(config::parse_yes_no("once", value), [&](bool once) { request.options.once = once; });
}

Result<void> set_sandbox(PushRequest& request, std::string_view value) {
    if (value != "yes" && value != "no" && value != "strict") {
        return fail("sandbox is \"" + std::string(value) + "\": expected yes, no or strict");
    }
    request.options.sandbox = parse_sandbox(value);
    return {};
}

constexpr std::uint64_t most_upstreams = 1000; // more than anyone names

constexpr std::array<PushOption, 15> table{{
    {"from", "ADDRESS",
     "an EGD server: unix:/PATH, tcp:HOST:PORT, sealed:HOST:PORT,key=KEY, vsock:CID:PORT or char:/DEVICE; "
     "may be given several "
     "times",
     set_from},
    {"to", "WHERE", "kernel, file:/PATH[,seed=yes], or - for standard output (default: kernel)", set_to},
    {"bytes", "N", "bytes a push, 1 to 4096 (default 64); at least 16 for the kernel",
     [](PushRequest& r, std::string_view v) {
         return then(config::parse_number("bytes", v, 1, KernelPool::longest),
                     [&](std::uint64_t n) { r.options.bytes = static_cast<std::size_t>(n); });
     }},
    {"interval", "SECONDS", "longest time between pushes (default 60)",
     [](PushRequest& r, std::string_view v) {
         return then(config::parse_decimal("interval", v, 0.1, 86400),
                     [&](double s) { r.options.interval = seconds(s); });
     }},
    {"once", nullptr, "push once, then end: 0 when an upstream delivered, 1 when none did", set_once},
    {"credit", "auto|0..8",
     "bits of entropy credited a byte (default auto: 4 for sealed, this machine and its host; 0 for clear "
     "TCP)",
     set_credit},
    {"timeout", "SECONDS", "how long one upstream may take to answer (default 30)",
     [](PushRequest& r, std::string_view v) {
         return then(config::parse_decimal("timeout", v, 0.1, 3600),
                     [&](double s) { r.options.timeout = seconds(s); });
     }},
    {"identity", "FILE", "this host's key for sealed links, as ekeydctl keygen makes it",
     [](PushRequest& r, std::string_view v) -> Result<void> {
         if (config::may_be_key(v)) {
             return fail("identity: the path of a file is expected; what is there is not shown, as it may be "
                         "the key itself");
         }
         r.options.identity = v;
         return {};
     }},
    {"quorum", "N", "sealed servers with different keys that contribute before anything is credited",
     [](PushRequest& r, std::string_view v) {
         return then(config::parse_number("quorum", v, 1, most_upstreams),
                     [&](std::uint64_t n) { r.options.quorum = static_cast<std::size_t>(n); });
     }},
    {"sandbox", "yes|no|strict", "give up files and system calls that are not needed (default yes)",
     set_sandbox},
    {"config", "FILE", "read these options from a file, one NAME = VALUE a line", nullptr, true},
    {"foreground", nullptr, "stay in the foreground (as it always does)",
     [](PushRequest&, std::string_view) -> Result<void> { return {}; }, true},
    {"verbose", nullptr, "say more; twice, say everything",
     [](PushRequest& r, std::string_view) -> Result<void> {
         ++r.options.verbose;
         return {};
     },
     true, 'v'},
    {"version", nullptr, "print the version",
     [](PushRequest& r, std::string_view) -> Result<void> {
         r.action = PushRequest::Action::version;
         return {};
     },
     true},
    {"help", nullptr, "print this help",
     [](PushRequest& r, std::string_view) -> Result<void> {
         r.action = PushRequest::Action::help;
         return {};
     },
     true, 'h'},
}};

} // namespace

std::span<const PushOption> push_option_table() {
    return table;
}

} // namespace ekey
