// Numbers and names for people: times, counts, rates, and foreign text that can do no harm.
#ifndef DVG_STAGES_INSPECT_FIGURES_H
#define DVG_STAGES_INSPECT_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { DVG_FIGURE = 32 };

// All fill and return `text`; what is unknown (NaN, or less than 0) becomes an empty text.
const char *dvg_say_count(char text[DVG_FIGURE], int64_t n); // "1,234,567"
const char *dvg_say_time(char text[DVG_FIGURE],
                         double seconds); // "9.4 s", "3 min 12 s", "2 h 05 min", "3 d 4 h"
const char *dvg_say_rate(char text[DVG_FIGURE],
                         double per_second);                // "12.8"; below 0.1 the seconds of one: "1/23 s"
const char *dvg_say_value(char text[DVG_FIGURE], double x); // four digits: "0.05998", "1.234e-07"

// Bytes of a program's name as artifacts have it, "dvg-prepare render 0.1.0", without its version.
size_t dvg_program_length(const char *program);

// Length in bytes of the UTF-8 character at `text`; 0 if there is none: end, a stray or over-long byte, a
// surrogate.
int dvg_utf8_length(const char *text);

// Columns that a text takes in a terminal, a character each.
int dvg_columns(const char *text);
// Foreign text for a terminal: what isn't printable (escape sequences, C1 and C0 controls) becomes '?', with
// `ascii` also what is beyond ASCII. At most `columns`, the rest cut off and "..." in its place.
void dvg_put_plain(FILE *to, const char *text, int columns, int ascii);

#endif
