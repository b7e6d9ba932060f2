/* SPDX-License-Identifier: MIT */
/* The table of methods as a page of HTML that needs nothing else: no script, no other file.
 * SPEC 18.3.6. */
#include "report.h"

static const char HEAD[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<title>ddome report</title>\n<style>\n"
    "body { font-family: sans-serif; margin: 2em; }\n"
    "table { border-collapse: collapse; }\n"
    "th, td { border-bottom: 1px solid #bbb; padding: 0.3em 0.6em; text-align: right; }\n"
    "th:nth-child(-n+2), td:nth-child(-n+2), th:last-child, td:last-child { text-align: left; }\n"
    "pre { white-space: pre-wrap; }\n"
    "</style>\n</head>\n<body>\n<table>\n";

/* As text of an element: what would begin a tag or an entity is written as one, and a control
 * character, which no page may have, as U+FFFD. */
static void add_escaped(fl_text *text, const char *value)
{
    for (; *value != '\0'; value++)
        if (*value == '&')
            fl_text_add(text, "&amp;");
        else if (*value == '<')
            fl_text_add(text, "&lt;");
        else if (*value == '>')
            fl_text_add(text, "&gt;");
        else if ((unsigned char)*value < ' ' && *value != '\n')
            fl_text_add(text, "\xef\xbf\xbd");
        else
            fl_text_add(text, "%c", *value);
}

static void add_cell(fl_text *text, const char *element, const char *value)
{
    fl_text_add(text, "<%s>", element);
    add_escaped(text, value);
    fl_text_add(text, "</%s>", element);
}

void report_add_html(fl_text *text, const char *const heading[REPORT_CELLS],
                     const report_line *lines, size_t count, const char *below)
{
    fl_text_add(text, "%s<tr>", HEAD);
    for (size_t c = 0; c < REPORT_CELLS; c++)
        add_cell(text, "th", heading[c]);
    fl_text_add(text, "</tr>\n");
    for (size_t i = 0; i < count; i++) {
        fl_text_add(text, "<tr>");
        for (size_t c = 0; c < REPORT_CELLS; c++)
            add_cell(text, "td", lines[i].cell[c].data);
        fl_text_add(text, "</tr>\n");
    }
    fl_text_add(text, "</table>\n");
    add_cell(text, "pre", below);
    fl_text_add(text, "\n</body>\n</html>\n");
}
