/* SPDX-License-Identifier: MIT */
/* What the sanitizers and Valgrind must be told about the arena: to malloc it is a few large
 * blocks, so that without these words they miss a step from one allocation into the next, the use
 * of one that was rewound, and, once a block is used again, values that nobody has written.
 *
 * NN_POISONS is 1 in builds with -fsanitize=address or memory, and with -DNN_VALGRIND (make
 * check-memory); in all others 0, and the calls are nothing. */
#ifndef NN_POISON_H
#define NN_POISON_H

#include <stddef.h>

#if defined(__has_feature)
#define NN_FEATURE(name) __has_feature(name)
#else
#define NN_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || NN_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define NN_GIVE(bytes, count) __asan_unpoison_memory_region(bytes, count)
#define NN_TAKE(bytes, count) __asan_poison_memory_region(bytes, count)
#elif NN_FEATURE(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define NN_GIVE(bytes, count) __msan_allocated_memory(bytes, count)
#define NN_TAKE(bytes, count) __msan_poison(bytes, count)
#elif defined(NN_VALGRIND)
#include <valgrind/memcheck.h>
#define NN_GIVE(bytes, count) ((void)VALGRIND_MAKE_MEM_UNDEFINED(bytes, count))
#define NN_TAKE(bytes, count) ((void)VALGRIND_MAKE_MEM_NOACCESS(bytes, count))
#endif

#if defined(NN_GIVE)
enum { NN_POISONS = 1 };
#else
enum { NN_POISONS = 0 };
#define NN_GIVE(bytes, count) ((void)(bytes), (void)(count))
#define NN_TAKE(bytes, count) ((void)(bytes), (void)(count))
#endif

/* May be used from now on; its content is undefined. */
static inline void nn_poison_give(void *bytes, size_t count)
{
    NN_GIVE(bytes, count);
}

/* Must not be touched until it is given again. */
static inline void nn_poison_take(void *bytes, size_t count)
{
    NN_TAKE(bytes, count);
}

#endif
