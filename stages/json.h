// Machine-readable reports: JSON on one line, built value by value.
//
//     struct dvg_json j;
//     dvg_json_begin(&j); // opens the outermost object
//     dvg_json_int(&j, "images", 12);
//     dvg_json_open(&j, "far", '['); dvg_json_real(&j, NULL, 0.1); dvg_json_close(&j, ']');
//     status = dvg_json_end(&j, &text); // {"images":12,"far":[0.1]}
//
// Keys are NULL inside arrays. Lack of memory is remembered and reported by dvg_json_end.
#ifndef DVG_STAGES_JSON_H
#define DVG_STAGES_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/status.h"

struct dvg_json {
  FILE *to; // NULL: there was no memory
  char *text;
  size_t n_bytes;
  int comma; // whether the next value stands behind another one
};

void dvg_json_begin(struct dvg_json *j);
void dvg_json_open(struct dvg_json *j, const char *key, char bracket); // '{' or '['
void dvg_json_close(struct dvg_json *j, char bracket);                 // '}' or ']'
void dvg_json_int(struct dvg_json *j, const char *key, int64_t value);
// Up to 17 digits, so that a reader gets the same double. NaN and infinity, which JSON hasn't, become null.
void dvg_json_real(struct dvg_json *j, const char *key, double value);
void dvg_json_text(struct dvg_json *j, const char *key, const char *value);
// *text = the object with a newline; the caller frees it with dvg_free. To be called once, whatever happened
// before.
DVG_CHECKED enum dvg_status dvg_json_end(struct dvg_json *j, char **text);

#endif
