/* SPDX-License-Identifier: MIT */
/* Names with a number in them. SPEC 17.1.1. */
#include "files.h"

#include <stdio.h>

const char *fl_file_expert(char name[FL_FILE_NAME], size_t expert)
{
    snprintf(name, FL_FILE_NAME, "final/expert_%lu.safetensors", (unsigned long)expert);
    return name;
}

const char *fl_file_client(char name[FL_FILE_NAME], size_t client)
{
    snprintf(name, FL_FILE_NAME, "final/client_%lu.safetensors", (unsigned long)client);
    return name;
}
