/* SPDX-License-Identifier: MIT */
/* What a run does to files, one record a change, so that the states a disk may be in after the
 * power fails can be made from it (crash.py). FAULT_JOURNAL names the file. */
#ifndef FAULTS_JOURNAL_H
#define FAULTS_JOURNAL_H

#include <stddef.h>

/* Appends "CHANGE PATH OTHER AT SIZE", tabs between, and `size` bytes, if bytes is not NULL. */
void fault_journal(const char *change, const char *path, const char *other, long long at,
                   const void *bytes, size_t size);

#endif
