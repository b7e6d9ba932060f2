/* SPDX-License-Identifier: MIT */
/* The table of configuration keys, and the text of one value in both directions. SPEC 16.2, 16.3.
 */
#ifndef FL_CONFIG_TABLE_H
#define FL_CONFIG_TABLE_H

#include "config.h"

enum { FL_MAX_KEYS = 128, FL_EXPECTED = 200 };

typedef enum fl_key_type {
    FL_KEY_SIZE,         /* size_t */
    FL_KEY_AUTO,         /* size_t, or the word auto = FL_AUTO */
    FL_KEY_SEED,         /* uint64_t */
    FL_KEY_DECIMAL,      /* fl_decimal */
    FL_KEY_AUTO_DECIMAL, /* fl_decimal, or the word auto */
    FL_KEY_CHOICE,       /* int, an index into choices */
    FL_KEY_BOOL,         /* int */
    FL_KEY_PATH,         /* char[FL_PATH] */
    FL_KEY_BATCHES,      /* unsigned, a bit a batch */
    FL_KEY_CHOICES       /* unsigned, a bit a word of choices */
} fl_key_type;

typedef enum fl_key_range {
    FL_RANGE_CLOSED, /* low <= value <= high */
    FL_RANGE_ABOVE,  /* low < value <= high */
    FL_RANGE_BELOW   /* low <= value < high */
} fl_key_range;

typedef struct fl_key {
    const char *name, *section;
    fl_key_type type;
    size_t offset;             /* of the field in fl_config */
    const char *otherwise;     /* the default, as on the command line */
    uint64_t low, high;        /* numbers only */
    fl_key_range range;        /* DECIMAL only; the others are closed */
    const char *const *choice; /* CHOICE, CHOICES: the words in the order of the enum, then NULL */
    bool bits;                 /* false: where things are, how often a state is saved */
    size_t hash;               /* PATH with bits: offset in fl_config_hashes */
} fl_key;

/* How a value stood in its source: in a file strings are quoted and all else is bare. */
typedef enum fl_quotes { FL_BARE, FL_QUOTED, FL_EITHER } fl_quotes;

/* All keys in the order of config.toml. */
const fl_key *fl_config_keys(size_t *count);

/* Does a hashed config.toml leave the key out when it is at its default? */
bool fl_key_implied(const fl_key *key);

/* The key with this name, or NULL; *nearest (if not NULL) is then the most similar name. */
const fl_key *fl_config_find(const char *name, const char **nearest);

/* Sets the key's field; false, the field untouched, when the text is not a value of this key. */
bool fl_key_parse(fl_config *config, const fl_key *key, const char *text, fl_quotes quotes);

/* What fl_key_parse takes, in words: "a whole number 1..64". */
void fl_key_expected(char out[FL_EXPECTED], const fl_key *key);

/* The value as it stands in config.toml, strings in quotes; hashes may be NULL. */
void fl_key_write(fl_text *text, const fl_key *key, const fl_config *config,
                  const fl_config_hashes *hashes);

#endif
