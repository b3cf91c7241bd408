#include "ekeyd/http/library.h"

#include <optional>

#include <dlfcn.h>

namespace ekey::http {

namespace {

// Of the interface that microhttpd.h of 0.9.71 and later declares (enum MHD_Result).
constexpr const char* file = "libmicrohttpd.so.12";

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

bool find_all(void* library, Library& l) {
    return find(library, "MHD_start_daemon", l.start_daemon) &&
           find(library, "MHD_stop_daemon", l.stop_daemon) &&
           find(library, "MHD_get_daemon_info", l.get_daemon_info) && find(library, "MHD_run", l.run) &&
           find(library, "MHD_get_timeout", l.get_timeout) &&
           find(library, "MHD_add_connection", l.add_connection) &&
           find(library, "MHD_get_connection_info", l.get_connection_info) &&
           find(library, "MHD_lookup_connection_value", l.lookup_connection_value) &&
           find(library, "MHD_suspend_connection", l.suspend_connection) &&
           find(library, "MHD_resume_connection", l.resume_connection) &&
           find(library, "MHD_create_response_from_buffer", l.create_response_from_buffer) &&
           find(library, "MHD_add_response_header", l.add_response_header) &&
           find(library, "MHD_queue_response", l.queue_response) &&
           find(library, "MHD_destroy_response", l.destroy_response);
}

// dlsym(3) looks in what a library depends on, too.
bool find_gnutls(void* library, Library::Gnutls& g) {
    return find(library, "gnutls_x509_crt_init", g.crt_init) &&
           find(library, "gnutls_x509_crt_deinit", g.crt_deinit) &&
           find(library, "gnutls_x509_crt_import", g.crt_import) &&
           find(library, "gnutls_x509_crt_get_activation_time", g.crt_get_activation_time) &&
           find(library, "gnutls_x509_crt_get_expiration_time", g.crt_get_expiration_time);
}

} // namespace

Result<const Library*> Library::load() {
    static std::optional<Library> loaded;
    if (!loaded) {
        void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
        Library found{};
        if (library == nullptr || !find_all(library, found)) {
            const char* const why = dlerror();
            return fail("listeners that speak HTTP need the library libmicrohttpd "
                        "(in Debian: apt install libmicrohttpd12): " +
                        std::string(why != nullptr ? why : file));
        }
        found.gnutls.there = find_gnutls(library, found.gnutls);
        loaded = found;
    }
    return &*loaded;
}

} // namespace ekey::http
