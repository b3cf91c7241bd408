// libmicrohttpd, loaded when the first listener that speaks HTTP is opened: with the TLS library that it
// brings it would cost every daemon 3 MB, and most have no such listener.
#pragma once

#include <gnutls/x509.h>
#include <microhttpd.h>

#include "protocol/result.h"

namespace ekey::http {

struct Library {
    decltype(&MHD_start_daemon) start_daemon;
    decltype(&MHD_stop_daemon) stop_daemon;
    decltype(&MHD_get_daemon_info) get_daemon_info;
    decltype(&MHD_run) run;
    decltype(&MHD_get_timeout) get_timeout;
    decltype(&MHD_add_connection) add_connection;
    decltype(&MHD_get_connection_info) get_connection_info;
    decltype(&MHD_lookup_connection_value) lookup_connection_value;
    decltype(&MHD_suspend_connection) suspend_connection;
    decltype(&MHD_resume_connection) resume_connection;
    decltype(&MHD_create_response_from_buffer) create_response_from_buffer;
    decltype(&MHD_add_response_header) add_response_header;
    decltype(&MHD_queue_response) queue_response;
    decltype(&MHD_destroy_response) destroy_response;

    // Of the TLS library that it is linked with.
    struct Gnutls {
        bool there = false; // it may have been built without
        decltype(&gnutls_x509_crt_init) crt_init;
        decltype(&gnutls_x509_crt_deinit) crt_deinit;
        decltype(&gnutls_x509_crt_import) crt_import;
        decltype(&gnutls_x509_crt_get_activation_time) crt_get_activation_time;
        decltype(&gnutls_x509_crt_get_expiration_time) crt_get_expiration_time;
    } gnutls;

    // The same one at each call, never unloaded. The error names the library and its package.
    static Result<const Library*> load();
};

} // namespace ekey::http
