#include "ekeyd/ctl/identity.h"

#include "ekeyd/config/identity.h"
#include "ekeyd/config/options.h"
#include "ekeyd/config/settings.h"

namespace ekey::ctl {

namespace {

std::string file_of(const Job& job) {
    if (!job.arguments.empty()) {
        return job.arguments[0];
    }
    const char* const argv[] = {"ekeyd"};
    const auto request = config::read_settings(1, argv);
    return request ? request->settings.identity.value
                   : std::string(config::find_option("identity")->fallback);
}

Result<void> print_public_key(const Result<config::Identity>& identity, const Job& job) {
    if (!identity) {
        return fail(identity.error().what);
    }
    std::fprintf(job.out, "%s\n", sealed::encode_key(identity->keys().public_key).c_str());
    return {};
}

} // namespace

Result<void> make_identity(const Job& job) {
    return print_public_key(config::Identity::create(file_of(job)), job);
}

Result<void> show_identity(const Job& job) {
    return print_public_key(config::Identity::read(file_of(job)), job);
}

} // namespace ekey::ctl
