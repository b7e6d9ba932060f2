/* SPDX-License-Identifier: MIT */
/* The suites of the runner, in the order in which they run; suite NAME is t_NAME of t_NAME.c. */
#ifndef SUITES_H
#define SUITES_H

#define TEST_SUITES(T)                                                                             \
    T(base)                                                                                        \
    T(arena)                                                                                       \
    T(os)                                                                                          \
    T(team)                                                                                        \
    T(selftest)                                                                                    \
    T(fma)                                                                                         \
    T(fmath)                                                                                       \
    T(hash)                                                                                        \
    T(rng)                                                                                         \
    T(json)                                                                                        \
    T(json_limits)                                                                                 \
    T(json_nasty)                                                                                  \
    T(safetensors)                                                                                 \
    T(safetensors_write)                                                                           \
    T(safetensors_vectors)                                                                         \
    T(vectors)                                                                                     \
    T(text)                                                                                        \
    T(config)                                                                                      \
    T(config_decimal)                                                                              \
    T(config_file)                                                                                 \
    T(rundir)                                                                                      \
    T(dataset)                                                                                     \
    T(cifar)                                                                                       \
    T(synth)                                                                                       \
    T(batch)                                                                                       \
    T(partition)                                                                                   \
    T(partition_labels)                                                                            \
    T(partition_draws)                                                                             \
    T(partition_file)                                                                              \
    T(sum)                                                                                         \
    T(kernels)                                                                                     \
    T(kernels_rows)                                                                                \
    T(chain)                                                                                       \
    T(gemm)                                                                                        \
    T(linear)                                                                                      \
    T(conv_axis)                                                                                   \
    T(conv)                                                                                        \
    T(exhaustive)                                                                                  \
    T(norm)                                                                                        \
    T(pool)                                                                                        \
    T(act)                                                                                         \
    T(loss)                                                                                        \
    T(mixture)                                                                                     \
    T(graph)                                                                                       \
    T(graph_memory)                                                                                \
    T(gradients)                                                                                   \
    T(case)                                                                                        \
    T(variant)                                                                                     \
    T(variant_deviations)                                                                          \
    T(optim)                                                                                       \
    T(param)                                                                                       \
    T(mlp)                                                                                         \
    T(resnet)                                                                                      \
    T(train_step)                                                                                  \
    T(refusals)                                                                                    \
    T(checkpoint)                                                                                  \
    T(gate)                                                                                        \
    T(sample)                                                                                      \
    T(common)                                                                                      \
    T(client)                                                                                      \
    T(crew)                                                                                        \
    T(metrics)                                                                                     \
    T(eval)                                                                                        \
    T(record)                                                                                      \
    T(server)                                                                                      \
    T(round)                                                                                       \
    T(plan)                                                                                        \
    T(run)                                                                                         \
    T(trace)

#endif
