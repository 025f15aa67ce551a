/*
 * `cais shim TASK_DIR`: the supervisor of one task, a process that outlives the agent.
 *
 * It reads the task's spec, starts its containers, keeps the task's state file up to date and
 * pokes the agent at each change. It ends when the last container has, and by then has killed
 * whatever those left behind: being a child subreaper, it inherits every descendant, whatever
 * session or process group that made for itself.
 *
 *   SIGTERM to the shim    stop the task: SIGTERM to each container's group, SIGKILL after its
 *                          stop timeout
 *   SIGKILL to the shim    the kernel kills the containers' main processes (PR_SET_PDEATHSIG);
 *                          the agent clears away the rest and reports the task STOPPED
 *
 * A task is run once: the shim holds the lock of the task's directory, and does nothing if
 * somebody else does or a state file is there already. So starting one too many is harmless.
 */
#pragma once

/* Exits 0 when the task is over, whatever came of it; 1 if it could not even record that. */
int shim_main(int argc, char **argv);

/* Start a shim for the task directory: in a session of its own, not our child, with nothing of
 * ours open. Gives *out_pidfd, which is that process's and becomes readable when it ends. */
int shim_spawn(const char *task_path, int *out_pidfd);
