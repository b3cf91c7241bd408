// A FAKE of libjitterentropy, for builds on systems that have no package of it: what ekeyd uses of its
// interface, as jitterentropy(3) documents it, and knobs for the test. It makes no noise.
#pragma once

#include <sys/types.h>

struct rand_data; // NOLINT(readability-identifier-naming): the library's

extern "C" {
int jent_entropy_init(void);
struct rand_data* jent_entropy_collector_alloc(unsigned int osr, unsigned int flags);
void jent_entropy_collector_free(struct rand_data* collector);
ssize_t jent_read_entropy(struct rand_data* collector, char* data, size_t length);
}
