/* SPDX-License-Identifier: MIT */
/* The text of one configuration value in both directions: whole numbers, decimals, words, paths.
 * No strtod and no printf of a float: both ask the locale. SPEC 16.1, 16.2. */
#include "config_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits without a sign or a leading zero (SPEC 16.1.4). */
static bool parse_whole(uint64_t *out, const char *text, uint64_t low, uint64_t high)
{
    uint64_t value = 0;
    const char *at = text;
    for (; is_digit(*at); at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    if (at == text || *at != '\0' || (*text == '0' && at - text > 1) || value < low || value > high)
        return false;
    *out = value;
    return true;
}

enum { MOST_DIGITS = 15, MOST_PLACES = 22, MOST_EXPONENT = 99, LONGEST_DECIMAL = 64 };

/* digits / 10^places; digits has no trailing zero unless places is 0. */
typedef struct decimal {
    uint64_t digits; /* < 10^15, so that its double is exact */
    int places;      /* 0..22, so that the double of 10^places is exact */
} decimal;

/* What is read so far: value = digits * 10^power, zeros of them held back. */
typedef struct scan {
    const char *at;
    uint64_t digits;
    int significant, zeros, power;
} scan;

/* Takes the digits at *at; a zero counts once a later digit shows that it is not a trailing one. */
static bool scan_digits(scan *in, bool fraction)
{
    const char *start = in->at;
    for (; is_digit(*in->at); in->at++) {
        in->power -= fraction ? 1 : 0;
        in->zeros += in->significant != 0 || *in->at != '0' ? 1 : 0;
        if (*in->at == '0')
            continue;
        in->significant += in->zeros;
        if (in->significant > MOST_DIGITS)
            return false;
        for (; in->zeros > 0; in->zeros--)
            in->digits *= 10;
        in->digits += (uint64_t)(*in->at - '0');
    }
    return in->at > start;
}

static bool scan_exponent(scan *in)
{
    bool negative = *in->at == '-';
    int exponent = 0;
    if (negative || *in->at == '+')
        in->at++;
    const char *start = in->at;
    for (; is_digit(*in->at) && exponent <= MOST_EXPONENT; in->at++)
        exponent = 10 * exponent + (*in->at - '0');
    in->power += negative ? -exponent : exponent;
    return in->at > start && exponent <= MOST_EXPONENT;
}

static bool scan_decimal(scan *in)
{
    bool zero_first = in->at[0] == '0' && is_digit(in->at[1]);
    if (zero_first || !scan_digits(in, false))
        return false;
    if (*in->at == '.' && (in->at++, !scan_digits(in, true)))
        return false;
    if ((*in->at == 'e' || *in->at == 'E') && (in->at++, !scan_exponent(in)))
        return false;
    return *in->at == '\0';
}

/* SPEC 16.2.1. */
static bool read_decimal(decimal *out, const char *text)
{
    scan in = {text, 0, 0, 0, 0};
    if (strlen(text) > LONGEST_DECIMAL || !scan_decimal(&in))
        return false;
    in.power = in.digits == 0 ? 0 : in.power + in.zeros;
    for (; in.power > 0 && in.significant < MOST_DIGITS; in.power--, in.significant++)
        in.digits *= 10;
    if (in.power > 0 || in.power < -MOST_PLACES)
        return false;
    out->digits = in.digits;
    out->places = -in.power;
    return true;
}

/* SPEC 16.2.3: all digits, the point places from the right, no exponent. */
static void write_decimal(char text[FL_DECIMAL], const decimal *value)
{
    char digits[FL_DECIMAL];
    int length = snprintf(digits, sizeof digits, "%0*" PRIu64, value->places + 1, value->digits);
    int whole = length - value->places;
    snprintf(text, FL_DECIMAL, "%.*s%s%s", whole, digits, value->places > 0 ? "." : "",
             digits + whole);
}

static bool in_range(float value, const fl_key *key)
{
    float low = (float)key->low, high = (float)key->high;
    return (key->range == FL_RANGE_ABOVE ? value > low : value >= low) &&
           (key->range == FL_RANGE_BELOW ? value < high : value <= high);
}

/* SPEC 16.2.2: both operands are exact, so there is one division and one rounding to binary32. */
static bool parse_decimal(fl_decimal *out, const char *text, const fl_key *key)
{
    decimal read;
    if (!read_decimal(&read, text))
        return false;
    double power = 1.0;
    for (int i = 0; i < read.places; i++)
        power *= 10.0;
    double quotient = (double)read.digits / power;
    float value = (float)quotient;
    if (!in_range(value, key))
        return false;
    out->value = value;
    write_decimal(out->text, &read);
    return true;
}

static bool parse_word(int *out, const char *text, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* "none", or words with commas in the order of the list, so that one set has one text. */
static bool parse_words(unsigned *out, const char *text, const char *const *words)
{
    unsigned set = 0;
    bool more = strcmp(text, "none") != 0;
    for (unsigned i = 0; more && words[i] != NULL; i++) {
        const size_t length = strlen(words[i]);
        if (strncmp(text, words[i], length) != 0 || (text[length] != ',' && text[length] != '\0'))
            continue;
        set |= 1u << i;
        more = text[length] == ',';
        text += length + 1;
    }
    if (more)
        return false;
    *out = set;
    return true;
}

static bool parse_path(char *out, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    if (length >= FL_PATH)
        return false;
    memcpy(out, text, length + 1);
    return true;
}

/* One digit a batch, ascending, so that one set has one text (SPEC 16.1.4). */
static bool parse_batches(unsigned *out, const char *text, uint64_t high)
{
    unsigned batches = 0;
    for (;; text += 2) {
        if (text[0] < '1' || text[0] > (char)('0' + high) || batches >> (text[0] - '1') != 0)
            return false;
        batches |= 1u << (text[0] - '1');
        if (text[1] != ',')
            break;
    }
    *out = batches;
    return text[1] == '\0';
}

static bool parse_size(size_t *out, const char *text, const fl_key *key)
{
    uint64_t value;
    if (!parse_whole(&value, text, key->low, key->high))
        return false;
    *out = (size_t)value; /* high is below 2^32 */
    return true;
}

static bool parse_auto(size_t *out, const char *text, const fl_key *key)
{
    if (strcmp(text, "auto") != 0)
        return parse_size(out, text, key);
    *out = FL_AUTO;
    return true;
}

static bool parse_auto_decimal(fl_decimal *out, const char *text, const fl_key *key)
{
    if (strcmp(text, "auto") != 0)
        return parse_decimal(out, text, key);
    out->value = -1;
    strcpy(out->text, "auto");
    return true;
}

/* What stands in quotes in a file (SPEC 16.1.3). */
static bool is_string(const fl_key *key, const char *text)
{
    return key->type == FL_KEY_CHOICE || key->type == FL_KEY_PATH || key->type == FL_KEY_BATCHES ||
           key->type == FL_KEY_CHOICES ||
           ((key->type == FL_KEY_AUTO || key->type == FL_KEY_AUTO_DECIMAL) &&
            strcmp(text, "auto") == 0);
}

static const char *const switch_words[] = {"false", "true", NULL};

bool fl_key_parse(fl_config *config, const fl_key *key, const char *text, fl_quotes quotes)
{
    void *field = (char *)config + key->offset;
    if (quotes != FL_EITHER && (quotes == FL_QUOTED) != is_string(key, text))
        return false;
    switch (key->type) {
    case FL_KEY_SIZE:
        return parse_size(field, text, key);
    case FL_KEY_AUTO:
        return parse_auto(field, text, key);
    case FL_KEY_SEED:
        return parse_whole(field, text, key->low, key->high);
    case FL_KEY_DECIMAL:
        return parse_decimal(field, text, key);
    case FL_KEY_AUTO_DECIMAL:
        return parse_auto_decimal(field, text, key);
    case FL_KEY_CHOICE:
        return parse_word(field, text, key->choice);
    case FL_KEY_BOOL:
        return parse_word(field, text, switch_words);
    case FL_KEY_PATH:
        return parse_path(field, text);
    case FL_KEY_BATCHES:
        return parse_batches(field, text, key->high);
    case FL_KEY_CHOICES:
        return parse_words(field, text, key->choice);
    }
    return false;
}

static void expected_words(char *out, size_t room, const char *const *words)
{
    size_t length = (size_t)snprintf(out, room, "%s", words[0]);
    for (size_t i = 1; words[i] != NULL && length < room; i++)
        length += (size_t)snprintf(out + length, room - length, "%s%s",
                                   words[i + 1] == NULL ? " or " : ", ", words[i]);
}

static void expected_decimal(char out[FL_EXPECTED], const fl_key *key)
{
    snprintf(out, FL_EXPECTED, "%sa decimal %s %" PRIu64 ", %s %" PRIu64 ", of at most %d digits",
             key->type == FL_KEY_AUTO_DECIMAL ? "auto or " : "",
             key->range == FL_RANGE_ABOVE ? "above" : "from", key->low,
             key->range == FL_RANGE_BELOW ? "below" : "at most", key->high, MOST_DIGITS);
}

void fl_key_expected(char out[FL_EXPECTED], const fl_key *key)
{
    switch (key->type) {
    case FL_KEY_SIZE:
    case FL_KEY_AUTO:
    case FL_KEY_SEED:
        snprintf(out, FL_EXPECTED, "%sa whole number %" PRIu64 "..%" PRIu64,
                 key->type == FL_KEY_AUTO ? "auto or " : "", key->low, key->high);
        break;
    case FL_KEY_DECIMAL:
    case FL_KEY_AUTO_DECIMAL:
        expected_decimal(out, key);
        break;
    case FL_KEY_CHOICE:
        expected_words(out, FL_EXPECTED, key->choice);
        break;
    case FL_KEY_BOOL:
        expected_words(out, FL_EXPECTED, switch_words);
        break;
    case FL_KEY_PATH:
        snprintf(out, FL_EXPECTED, "a path of less than %d bytes", FL_PATH);
        break;
    case FL_KEY_BATCHES:
        snprintf(out, FL_EXPECTED, "batches 1..%" PRIu64 ", ascending, such as 1,2,3", key->high);
        break;
    case FL_KEY_CHOICES:
        snprintf(out, FL_EXPECTED, "none or some, in this order and with commas, of ");
        expected_words(out + strlen(out), FL_EXPECTED - strlen(out), key->choice);
        break;
    }
}

/* A TOML basic string; parse_path lets no control character in. */
static void write_string(fl_text *text, const char *string)
{
    fl_text_add(text, "\"");
    for (; *string != '\0'; string++)
        fl_text_add(text, "%s%c", *string == '"' || *string == '\\' ? "\\" : "", *string);
    fl_text_add(text, "\"");
}

static void write_path(fl_text *text, const fl_key *key, const char *path,
                       const fl_config_hashes *hashes)
{
    const char *hash = hashes == NULL ? "" : (const char *)hashes + key->hash;
    if (hashes == NULL || hash[0] == '\0')
        write_string(text, hashes == NULL ? path : "");
    else
        fl_text_add(text, "\"sha256:%s\"", hash);
}

static void write_batches(fl_text *text, unsigned batches)
{
    const char *before = "\"";
    for (unsigned i = 0; batches >> i != 0; i++) {
        if ((batches >> i & 1) == 0)
            continue;
        fl_text_add(text, "%s%u", before, i + 1);
        before = ",";
    }
    fl_text_add(text, "\"");
}

static void write_words(fl_text *text, unsigned set, const char *const *words)
{
    const char *before = "\"";
    for (unsigned i = 0; words[i] != NULL; i++)
        if ((set >> i & 1) != 0) {
            fl_text_add(text, "%s%s", before, words[i]);
            before = ",";
        }
    fl_text_add(text, set == 0 ? "\"none\"" : "\"");
}

static void write_decimal_key(fl_text *text, const fl_decimal *value)
{
    const char *quote = value->value < 0 ? "\"" : "";
    fl_text_add(text, "%s%s%s", quote, value->text, quote);
}

static void write_size(fl_text *text, size_t value)
{
    if (value == FL_AUTO)
        fl_text_add(text, "\"auto\"");
    else
        fl_text_add(text, "%" PRIu64, (uint64_t)value);
}

void fl_key_write(fl_text *text, const fl_key *key, const fl_config *config,
                  const fl_config_hashes *hashes)
{
    const void *field = (const char *)config + key->offset;
    switch (key->type) {
    case FL_KEY_SIZE:
    case FL_KEY_AUTO:
        write_size(text, *(const size_t *)field);
        break;
    case FL_KEY_SEED:
        fl_text_add(text, "%" PRIu64, *(const uint64_t *)field);
        break;
    case FL_KEY_DECIMAL:
    case FL_KEY_AUTO_DECIMAL:
        write_decimal_key(text, field);
        break;
    case FL_KEY_CHOICE:
        write_string(text, key->choice[*(const int *)field]);
        break;
    case FL_KEY_BOOL:
        fl_text_add(text, "%s", switch_words[*(const int *)field]);
        break;
    case FL_KEY_PATH:
        write_path(text, key, field, hashes);
        break;
    case FL_KEY_BATCHES:
        write_batches(text, *(const unsigned *)field);
        break;
    case FL_KEY_CHOICES:
        write_words(text, *(const unsigned *)field, key->choice);
        break;
    }
}
