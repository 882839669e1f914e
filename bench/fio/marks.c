/*
 * system(3) as fio's jobs get it here: what fio is told to run before and after a job (exec_prerun,
 * exec_postrun) is a mark, and is written to descriptor 3. A shell for each would be in the time of
 * the job: 1 ms in a process, and 40 ms in an emulated VM.
 *
 * fio appends where a command's output should go: " > JOB.prerun.txt 2>&1".
 */
#include <stdio.h>
#include <string.h>

int system(const char *command)
{
    const char *end = strstr(command, " > ");
    int length = (int)(end ? end - command : (long)strlen(command));

    return dprintf(3, "%.*s\n", length, command) < 0 ? -1 : 0;
}
