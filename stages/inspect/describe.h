// The description of an artifact or a sharded set: collected once, then said to people or written as JSON. One
// rank.
#ifndef DVG_STAGES_INSPECT_DESCRIBE_H
#define DVG_STAGES_INSPECT_DESCRIBE_H

#include "io/artifact.h"
#include "stages/json.h"

enum dvg_value_kind { DVG_VALUE_INT, DVG_VALUE_REAL, DVG_VALUE_TEXT, DVG_VALUE_FOREIGN };

struct dvg_described_attribute {
  char *name, *text; // text: owned, DVG_VALUE_TEXT only
  int64_t integer;
  double real;
  enum dvg_value_kind kind;
};

struct dvg_described_dataset {
  char *name;
  int type; // enum dvg_type; -1: one that this program never writes
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
};

struct dvg_description {
  char *path, *schema, *program, *settings, *inputs; // "" where there is none
  char digest[DVG_DIGEST_TEXT];
  int64_t version;
  struct dvg_described_attribute *attribute; // those of the schema's own
  struct dvg_described_dataset *dataset;
  int64_t n_attributes, n_datasets;
};

// Not collective. Free with dvg_description_free, also after a failure.
DVG_CHECKED enum dvg_status dvg_describe(struct dvg_description *d, const struct dvg_artifact *a);
void dvg_description_free(struct dvg_description *d);

// NULL when there is none of that name and kind.
const struct dvg_described_attribute *dvg_described(const struct dvg_description *d, const char *name,
                                                    enum dvg_value_kind kind);
// Values in all datasets together.
int64_t dvg_described_values(const struct dvg_description *d);

// Settings, inputs, attributes and datasets on standard output, indented under headings. `list`: also long
// tables of datasets.
void dvg_description_print(const struct dvg_description *d, int list);
// The same as members of the open JSON object.
void dvg_description_json(struct dvg_json *j, const struct dvg_description *d);

#endif
