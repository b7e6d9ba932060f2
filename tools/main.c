/* SPDX-License-Identifier: MIT */
/* The command line: parse, run one command, print its results, exit with its status. SPEC 18. */
#include <string.h>

#include "tool.h"

/* --json holds for failures of the parser, too, so it is looked up before anything else. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    tool t;
    ddome_error error = {DDOME_OK, ""};
    memset(&t, 0, sizeof t);
    t.text.arena = &t.arena;
    t.json.arena = &t.arena;
    t.as_json = wants_json(argc, argv);
    tool_ignore_size_limit();
    ddome_status status = tool_parse(&error, &t, argc, argv);
    if (status == DDOME_OK && t.help)
        tool_print_help(&t);
    else if (status == DDOME_OK)
        status = t.command->run(&error, &t);
    status = tool_finish(&t, &error, status);
    nn_arena_free(&t.arena);
    return status == DDOME_STOPPED ? tool_signal_status() : (int)status;
}
