/* SPDX-License-Identifier: MIT */
/* Included before everything else (-include), so that what the product calls for files, memory and
 * threads is a stand-in of shim.c, which the system's own headers then declare. Two sources see
 * less: shim.c (FAULT_SHIM) needs the real ones, arena.c (FAULT_ARENA) is what its stand-ins call.
 */
#ifndef FAULTS_SHIM_H
#define FAULTS_SHIM_H

#ifndef FAULT_SHIM

#define open fault_open
#define close fault_close
#define read fault_read
#define write fault_write
#define pread fault_pread
#define pwrite fault_pwrite
#define fsync fault_fsync
#define ftruncate fault_ftruncate
#define lseek fault_lseek
#define fcntl fault_fcntl
#define fstat fault_fstat
#define stat fault_stat
#define lstat fault_lstat
#define access fault_access
#define rename fault_rename
#define mkdir fault_mkdir
#define unlink fault_unlink
#define mkstemp fault_mkstemp
#define opendir fault_opendir
#define readdir fault_readdir
#define closedir fault_closedir

#define malloc fault_malloc

#define pthread_create fault_pthread_create
#define pthread_mutex_init fault_pthread_mutex_init
#define pthread_cond_init fault_pthread_cond_init

#ifndef FAULT_ARENA
#define nn_arena_alloc fault_arena_alloc
#define nn_arena_zero fault_arena_zero
#define nn_arena_string fault_arena_string
#endif

#endif

#endif
