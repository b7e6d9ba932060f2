/* SPDX-License-Identifier: MIT */
/* The readers of files from outside: R(name, base, each), where base + each * size bytes are the
 * most memory that an input of `size` bytes may take. fuzz_NAME of some file here reads one. */
#ifndef FUZZ_READERS_H
#define FUZZ_READERS_H

/* A JSON value of 2 bytes ("1,") is a node of 64; an object sorts 8 bytes a name meanwhile. */
#define FUZZ_JSON 37

#define FUZZ_READERS(R)                                                                            \
    R(cifar10, 40000, 4)                                                                           \
    R(cifar100, 40000, 4)                                                                          \
    R(idx_images, 8000, 2)                                                                         \
    R(idx_labels, 8000, 2)                                                                         \
    R(exclude, 2000, 2)                                                                            \
    R(partition, 8000, 16)                                                                         \
    R(config, 0, 0)                                                                                \
    R(setting, 0, 0)                                                                               \
    R(json, 2000, FUZZ_JSON)                                                                       \
    R(value, 2000, FUZZ_JSON)                                                                      \
    R(safetensors, 2000, FUZZ_JSON + 12)                                                           \
    R(checkpoint, 2000, FUZZ_JSON + 12)                                                            \
    R(vectors, 16000, 2 * FUZZ_JSON)                                                               \
    R(companion, 32000, FUZZ_JSON + 24)                                                            \
    R(manifest, 4000, FUZZ_JSON)                                                                   \
    R(trace, 40000, 300)                                                                           \
    R(trace_like, 80000, 300)                                                                      \
    R(tolerances, 2000, 60)                                                                        \
    R(table, 0, 0)                                                                                 \
    R(report, 200000, FUZZ_JSON + 40)                                                              \
    R(compare_run, 200000, 400)                                                                    \
    R(compare_model, 200000, 400)                                                                  \
    R(compare_answers, 200000, 400)                                                                \
    R(compare_vectors, 200000, 400)                                                                \
    R(compare_trace, 200000, 400)                                                                  \
    R(probe, 60000, 0)                                                                             \
    R(sums, 4096, 3)                                                                               \
    R(done, 4000, 2)                                                                               \
    R(state, 60000, 0)

#define FUZZ_DECLARE(name, base, each) ddome_status fuzz_##name(struct fuzz_call *call);
struct fuzz_call;
FUZZ_READERS(FUZZ_DECLARE)

#endif
