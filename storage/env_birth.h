/*
 * The first moment of an environment's data file.
 */
#pragma once

/* If the directory has no data file, make an empty one: whole or not at all, whenever the power is
 * cut. Left to itself, LMDB writes the first pages in place and unsynced, and a cut can leave
 * some of their sectors, a file that it then refuses for ever. */
int env_birth(int dir_fd);
