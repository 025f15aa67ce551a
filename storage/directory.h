/*
 * Directories whose names survive a power cut: a name is durable once the directory that it is in
 * was synced, not by syncing what it names.
 */
#pragma once

/* Sync its names. -errno. */
int directory_sync(const char *path);

/* Make it, private to its owner, and those above it that are missing; durable on return. It may be
 * there already. -errno. */
int directory_make(const char *path);
