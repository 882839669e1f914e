/* What the files of the meter have in common. Instance side. */
#pragma once

/* Write the line that the host stamps before, and after, `count` units of a part's work. */
void begin(const char *part);
void end(const char *part, long count);

/* Do a word's network part (net.c); 0: it is none. */
int network(const char *word);
