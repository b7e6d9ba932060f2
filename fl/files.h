/* SPDX-License-Identifier: MIT */
/* The names of the hashed files that are no tables (those: fl/record.h), for what writes, reads or
 * expects them. SPEC 17.1.1, 17.1.2. */
#ifndef FL_FILES_H
#define FL_FILES_H

#include <stddef.h>

#define FL_FILE_CONFIG "config.toml"
#define FL_FILE_MANIFEST "manifest.json"
#define FL_FILE_PARTITION "partition.csv"
#define FL_FILE_ROUNDS "rounds.jsonl"
#define FL_FILE_COMMON "final/common.safetensors"
#define FL_FILE_GATE "final/gate.safetensors"

/* The model of a run that only pretrained, and the algorithm that its manifest names. */
#define FL_FILE_PRETRAINED "common.safetensors"
#define FL_FILE_PRETRAIN "pretrain"

enum { FL_FILE_NAME = 64 };

/* "final/expert_0.safetensors"; of a model that stays with its client (SPEC 12.6.6)
 * "final/client_0.safetensors". */
const char *fl_file_expert(char name[FL_FILE_NAME], size_t expert);
const char *fl_file_client(char name[FL_FILE_NAME], size_t client);

#endif
