/*
 * scope() for what the worker borrows from the system: files, folders, text.
 */
#pragma once

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/scope.h"

static inline void text_free(char *text)
{
    free(text);
}

static inline void file_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

static inline void folder_close(DIR *folder)
{
    if (folder)
        closedir(folder);
}

SCOPED(char *, text_free);
SCOPED(int, file_close);
SCOPED(DIR *, folder_close);
