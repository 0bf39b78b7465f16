// What a fuzz target is written with. tests/fuzz/fuzz_<what>.c is one, built by clang (`make fuzz`) with
// libFuzzer under the address and the undefined-behaviour sanitizer:
//
//     #include "tests/fuzz/fuzz.h"
//     void dvg_fuzz_seeds(void) { dvg_fuzz_seed("plain", "a/1.png 17\n", 11); }
//     void dvg_fuzz_input(const unsigned char *data, size_t n_bytes) { read dvg_fuzz_file(data, n_bytes), free
//     all; }
//
// Nothing else needs to know of it. What a fuzzer finds becomes an input of a unit test.
#ifndef DVG_TESTS_FUZZ_H
#define DVG_TESTS_FUZZ_H

#include <stddef.h>

// To be defined by the target. Makes the corpus to start from, by calls of dvg_fuzz_seed.
void dvg_fuzz_seeds(void);
// To be defined by the target. Reads one input; any status is right, but no crash, no leak, no boundless memory
// or time.
void dvg_fuzz_input(const unsigned char *data, size_t n_bytes);

// Stores one seed under a name.
void dvg_fuzz_seed(const char *name, const void *bytes, size_t n_bytes);
// Stores a file that is there as a seed.
void dvg_fuzz_seed_file(const char *name, const char *path);
// The path of a file in memory that holds the input, until the next call.
const char *dvg_fuzz_file(const unsigned char *data, size_t n_bytes);
// A folder for files that seeds are made of.
const char *dvg_fuzz_folder(void);

#endif
