#include "io/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/landmarks.h"
#include "io/list_parse.h"

static const int64_t max_file_bytes = (int64_t)1 << 30;
enum { MAX_NAME = 1 << 17 }; // of a list's path under its root

static int is_given(const char *text) {
  return text && *text;
}

static enum dvg_status choose_kind(struct dvg_source *s, const struct dvg_source_choice *c) {
  const char *paths[] = {c->images, c->list, c->folder, c->rec, c->tar};
  int n = 0;
  for (int k = 0; k < 5; k++) {
    if (!is_given(paths[k])) continue;
    s->kind = (enum dvg_source_kind)k;
    s->path = paths[k];
    n++;
  }
  if (n != 1) return dvg_fail(DVG_ERROR_USAGE, "give one of --images, --list, --folder, --rec, --tar");
  if (is_given(c->filter.where) && s->kind != DVG_SOURCE_LIST)
    return dvg_fail(DVG_ERROR_USAGE, "%s: 'where' needs a list with a header", s->path);
  return DVG_OK;
}

static enum dvg_status make_columns(struct dvg_source *s, int64_t N) {
  s->N = N;
  DVG_TRY(DVG_NEW(&s->identity, N, "identities"));
  DVG_TRY(DVG_NEW(&s->domain, N, "domains"));
  return DVG_NEW(&s->place, N, "items");
}

static enum dvg_status make_landmarks(struct dvg_source *s) {
  DVG_TRY(DVG_NEW(&s->landmarks, s->N, "landmarks"));
  return DVG_NEW(&s->has_landmarks, s->N, "landmarks");
}

// ---- lists, and what is made into one

// first_line: the line of the list that is the container's item 0.
static enum dvg_status take_list(struct dvg_source *s, int64_t first_line) {
  const struct dvg_list *list = &s->list;
  int any = 0;
  DVG_TRY(make_columns(s, list->n_rows));
  s->n_people = list->n_people;
  s->n_domains = list->n_domains;
  s->person = list->people;
  s->domain_name = list->domains;
  for (int64_t i = 0; i < s->N; i++) {
    s->identity[i] = list->rows[i].identity;
    s->domain[i] = (unsigned char)list->rows[i].domain;
    s->place[i] = list->rows[i].line - first_line;
    any |= list->rows[i].has_landmarks;
  }
  if (!any) return DVG_OK;
  DVG_TRY(make_landmarks(s));
  for (int64_t i = 0; i < s->N; i++) {
    memcpy(s->landmarks[i], list->rows[i].landmarks, sizeof s->landmarks[i]);
    s->has_landmarks[i] = (unsigned char)list->rows[i].has_landmarks;
  }
  return DVG_OK;
}

static enum dvg_status add_cell(struct dvg_bytes *text, const char *cell, const char *end) {
  DVG_TRY(dvg_bytes_append(text, cell, strlen(cell), "a list"));
  return dvg_bytes_append(text, end, 1, "a list");
}

// The empty first column: a name may begin with #, like a comment.
static enum dvg_status write_tar_list(struct dvg_bytes *text, const struct dvg_tar_set *tar,
                                      const char *domains, const char *path) {
  int told = 0, one = is_given(domains) && !strchr(domains, ',');
  for (int64_t i = 0; i < tar->n_images; i++) told |= *tar->images[i].domain != 0;
  DVG_TRY(add_cell(text, told || one ? "\tpath\tidentity\tdomain" : "\tpath\tidentity", "\n"));
  for (int64_t i = 0; i < tar->n_images; i++) {
    const struct dvg_tar_image *image = &tar->images[i];
    if (strpbrk(image->name, "\t\r\n") || strpbrk(image->identity, "\t\r\n") ||
        strpbrk(image->domain, "\t\r\n"))
      return dvg_fail(DVG_ERROR_INPUT, "%s: %s: a tab or a line end in its name, identity or domain", path,
                      image->name);
    DVG_TRY(add_cell(text, "", "\t"));
    DVG_TRY(add_cell(text, image->name, "\t"));
    DVG_TRY(add_cell(text, image->identity, told || one ? "\t" : "\n"));
    if (told || one) DVG_TRY(add_cell(text, told ? image->domain : domains, "\n"));
  }
  return dvg_bytes_append(text, "", 1, "a list");
}

static enum dvg_status open_tar(struct dvg_source *s, const struct dvg_list_filter *filter) {
  struct dvg_bytes text = {0};
  enum dvg_status status;
  DVG_TRY(dvg_tar_open(&s->tar, s->path));
  DVG_TRY_GOTO(write_tar_list(&text, &s->tar, filter->domains, s->path));
  char *taken = (char *)text.data;
  text.data = NULL;
  DVG_TRY_GOTO(dvg_list_parse(&s->list, taken, s->path, "", filter));
  DVG_TRY_GOTO(take_list(s, 2));
done:
  dvg_bytes_free(&text);
  return status;
}

// ---- RecordIO

static int by_number(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int64_t find_number(const int64_t *sorted, int64_t n, int64_t value) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// People by first appearance of their labels, named by these.
static enum dvg_status number_labels(struct dvg_source *s, int64_t *labels, int64_t *number) {
  enum { DIGITS = 21 };
  int64_t n = 0;
  for (int64_t i = 0; i < s->N; i++) labels[i] = s->rec.images[i].identity;
  qsort(labels, (size_t)s->N, sizeof *labels, by_number);
  for (int64_t i = 0; i < s->N; i++)
    if (i == 0 || labels[i] != labels[n - 1]) labels[n++] = labels[i];
  DVG_TRY(DVG_NEW(&s->owned_people, n, "names of people"));
  DVG_TRY(dvg_alloc((void **)&s->owned_text, n, DIGITS, "names of people"));
  s->person = s->owned_people;
  for (int64_t i = 0; i < s->N; i++) {
    int64_t k = find_number(labels, n, s->rec.images[i].identity);
    if (!number[k]) {
      char *text = s->owned_text + s->n_people * DIGITS;
      snprintf(text, DIGITS, "%lld", (long long)labels[k]);
      s->person[s->n_people] = text;
      number[k] = ++s->n_people;
    }
    s->identity[i] = number[k] - 1;
  }
  return DVG_OK;
}

static enum dvg_status open_recordio(struct dvg_source *s, const struct dvg_list_filter *filter) {
  static char fallback[] = "VIS";
  static char *fallback_name[] = {fallback};
  int64_t *labels = NULL, *number = NULL;
  enum dvg_status status;
  if (is_given(filter->domains) && strchr(filter->domains, ','))
    return dvg_fail(DVG_ERROR_USAGE, "%s: a RecordIO file tells no domains: name the one that it is of",
                    s->path);
  DVG_TRY(dvg_recordio_open(&s->rec, s->path));
  DVG_TRY_GOTO(make_columns(s, s->rec.n_images));
  for (int64_t i = 0; i < s->N; i++) s->place[i] = i;
  DVG_TRY_GOTO(DVG_NEW(&labels, s->N, "labels"));
  DVG_TRY_GOTO(DVG_NEW(&number, s->N, "labels"));
  DVG_TRY_GOTO(number_labels(s, labels, number));
  s->n_domains = 1;
  s->domain_name = fallback_name;
  if (is_given(filter->domains)) {
    DVG_TRY_GOTO(DVG_NEW(&s->owned_domain, 1, "a domain"));
    DVG_TRY_GOTO(dvg_text(&s->owned_domain[0], "%s", filter->domains));
    s->domain_name = s->owned_domain;
  }
done:
  dvg_free(&labels);
  dvg_free(&number);
  return status;
}

// ---- images files

// number[d] = place of the file's domain d among those wanted, or -1. "" wants all.
static enum dvg_status choose_domains(struct dvg_source *s, int *number, const char *wanted) {
  const struct dvg_image_set *set = &s->set;
  s->n_domains = set->n_domains;
  DVG_TRY(DVG_NEW(&s->owned_domain, set->n_domains + 1, "domains")); // ends with NULL
  for (int64_t d = 0; d < set->n_domains; d++) number[d] = is_given(wanted) ? -1 : (int)d;
  if (!is_given(wanted)) {
    s->domain_name = set->domain_name;
    return DVG_OK;
  }
  s->domain_name = s->owned_domain;
  s->n_domains = 0;
  for (const char *at = wanted;; at++) {
    size_t n = strcspn(at, ",");
    char name[256];
    int d;
    snprintf(name, sizeof name, "%.*s", (int)n, at);
    DVG_TRY(dvg_image_set_domain(set, name, &d));
    if (number[d] >= 0) return dvg_fail(DVG_ERROR_USAGE, "domains: '%s' twice", name);
    DVG_TRY(dvg_text(&s->owned_domain[s->n_domains], "%s", name));
    number[d] = (int)s->n_domains++;
    at += n;
    if (!*at) return DVG_OK;
  }
}

static enum dvg_status take_set(struct dvg_source *s, const int *number) {
  const struct dvg_image_set *set = &s->set;
  int64_t n = 0;
  for (int64_t i = 0; i < set->N; i++) {
    if (number[set->domain[i]] < 0) continue;
    s->identity[n] = set->identity[i];
    s->domain[n] = (unsigned char)number[set->domain[i]];
    s->place[n++] = i;
  }
  s->N = n;
  if (n == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has no image%s", s->path,
                    s->n_domains < set->n_domains ? " of the domains wanted" : "");
  if (!dvg_artifact_has(set->file, "landmarks")) return DVG_OK;
  DVG_TRY(make_landmarks(s));
  float(*all)[10] = NULL;
  int64_t dims[] = {set->N, 10};
  DVG_TRY(dvg_artifact_load(set->file, "landmarks", DVG_F32, 2, dims, (void **)&all));
  for (int64_t i = 0; i < n; i++) memcpy(s->landmarks[i], all[s->place[i]], sizeof s->landmarks[i]);
  memset(s->has_landmarks, 1, (size_t)n);
  dvg_free(&all);
  return DVG_OK;
}

static enum dvg_status open_images(struct dvg_source *s, const struct dvg_list_filter *filter) {
  int64_t n_names;
  int number[256]; // domains are numbered with a byte
  DVG_TRY(dvg_image_set_open(&s->set, s->path));
  if (s->set.n_domains > 256) return dvg_fail(DVG_ERROR_INPUT, "%s: has more than 256 domains", s->path);
  s->n_people = s->set.n_people;
  s->person = s->set.person;
  DVG_TRY(choose_domains(s, number, filter->domains));
  DVG_TRY(make_columns(s, s->set.N));
  DVG_TRY(dvg_artifact_load_text(s->set.file, "name", &n_names, &s->set_names));
  return take_set(s, number);
}

// ---- landmarks of their own file

static enum dvg_status say_unknown(const struct dvg_landmarks *l, const unsigned char *used, const char *path) {
  int64_t n = 0, first = -1;
  for (int64_t k = l->n - 1; k >= 0; k--) {
    if (used[k]) continue;
    first = k;
    n++;
  }
  if (n == 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s:%lld: landmarks for an unknown item: %.200s (%lld such lines)", path,
                  (long long)l->line[first], dvg_landmarks_name(l, first), (long long)n);
}

static enum dvg_status match_landmarks(struct dvg_source *s, const struct dvg_landmarks *l,
                                       const struct dvg_source_choice *c, unsigned char *used, char *name) {
  for (int64_t i = 0; i < s->N; i++) {
    dvg_source_name(name, MAX_NAME, s, i);
    int64_t k = dvg_landmarks_find(l, name);
    if (k < 0) continue;
    memcpy(s->landmarks[i], l->points[k], sizeof s->landmarks[i]);
    s->has_landmarks[i] = used[k] = 1;
  }
  // Items that were left out may have landmarks: who they are is not known here.
  if (is_given(c->filter.domains) || is_given(c->filter.where)) return DVG_OK;
  return say_unknown(l, used, c->landmarks);
}

static enum dvg_status take_landmarks(struct dvg_source *s, const struct dvg_source_choice *c) {
  struct dvg_landmarks l = {0};
  unsigned char *used = NULL;
  char *name = NULL;
  if (!is_given(c->landmarks)) return DVG_OK;
  if (s->landmarks)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has landmarks of its own, beside those of %s", s->path, c->landmarks);
  enum dvg_status status;
  DVG_TRY(dvg_landmarks_read(&l, c->landmarks));
  DVG_TRY_GOTO(make_landmarks(s));
  DVG_TRY_GOTO(DVG_NEW(&used, l.n, "landmarks"));
  DVG_TRY_GOTO(DVG_NEW(&name, MAX_NAME, "a name"));
  DVG_TRY_GOTO(match_landmarks(s, &l, c, used, name));
done:
  dvg_landmarks_free(&l);
  dvg_free(&used);
  dvg_free(&name);
  return status;
}

// ---- opening

static enum dvg_status open_kind(struct dvg_source *s, const struct dvg_list_filter *filter) {
  switch (s->kind) {
  case DVG_SOURCE_IMAGES:
    return open_images(s, filter);
  case DVG_SOURCE_LIST:
    DVG_TRY(dvg_list_read(&s->list, s->path, filter));
    return take_list(s, 1);
  case DVG_SOURCE_FOLDER:
    DVG_TRY(dvg_list_scan(&s->list, s->path, filter));
    return take_list(s, 2);
  case DVG_SOURCE_RECORDIO:
    return open_recordio(s, filter);
  case DVG_SOURCE_TAR:
    return open_tar(s, filter);
  }
  return dvg_fail(DVG_ERROR_INTERNAL, "%s: an unknown kind of source", s->path);
}

enum dvg_status dvg_source_open(struct dvg_source *out, const struct dvg_source_choice *choice) {
  struct dvg_source s = {.rec = {.fd = -1}};
  enum dvg_status status = choose_kind(&s, choice);
  if (status == DVG_OK) status = open_kind(&s, &choice->filter);
  if (status == DVG_OK) status = take_landmarks(&s, choice);
  if (status == DVG_OK) *out = s;
  else dvg_source_close(&s);
  return status;
}

void dvg_source_close(struct dvg_source *s) {
  dvg_list_free(&s->list);
  dvg_recordio_close(&s->rec);
  dvg_tar_close(&s->tar);
  dvg_image_set_close(&s->set);
  dvg_bytes_free(&s->bytes);
  for (int64_t d = 0; s->owned_domain && s->owned_domain[d]; d++) dvg_free(&s->owned_domain[d]);
  dvg_free(&s->owned_domain);
  dvg_free(&s->owned_people);
  dvg_free(&s->owned_text);
  dvg_free(&s->set_names);
  dvg_free(&s->identity);
  dvg_free(&s->domain);
  dvg_free(&s->place);
  dvg_free(&s->landmarks);
  dvg_free(&s->has_landmarks);
  *s = (struct dvg_source){.rec = {.fd = -1}};
}

// ---- names

int dvg_source_name(char *text, size_t n_bytes, const struct dvg_source *s, int64_t i) {
  switch (s->kind) {
  case DVG_SOURCE_IMAGES:
    return snprintf(text, n_bytes, "%s", s->set_names[s->place[i]]);
  case DVG_SOURCE_RECORDIO:
    return snprintf(text, n_bytes, "%s:%lld", dvg_path_name(s->path), (long long)s->rec.images[i].key);
  default:
    return snprintf(text, n_bytes, "%s", s->list.rows[i].path);
  }
}

int dvg_source_where(char *text, size_t n_bytes, const struct dvg_source *s, int64_t i) {
  const char *path;
  switch (s->kind) {
  case DVG_SOURCE_IMAGES:
    return snprintf(text, n_bytes, "%s: image %lld (%s)", s->path, (long long)s->place[i],
                    s->set_names[s->place[i]]);
  case DVG_SOURCE_RECORDIO:
    return snprintf(text, n_bytes, "%s:%lld", s->path, (long long)s->rec.images[i].key);
  case DVG_SOURCE_TAR:
    return snprintf(text, n_bytes, "%s: %s", s->tar.tars[s->tar.images[s->place[i]].tar],
                    s->tar.images[s->place[i]].name);
  default:
    path = s->list.rows[i].path;
    return *path == '/' ? snprintf(text, n_bytes, "%s", path)
                        : snprintf(text, n_bytes, "%s/%s", s->list.root, path);
  }
}

enum dvg_status dvg_source_names(char ***names, const struct dvg_source *s, const int64_t *items, int64_t n) {
  int64_t n_bytes = 0;
  char **made = NULL;
  for (int64_t k = 0; k < n; k++) n_bytes += dvg_source_name(NULL, 0, s, items[k]) + 1;
  DVG_TRY(dvg_alloc((void **)&made, n * (int64_t)sizeof *made + n_bytes, 1, "names of images"));
  char *at = (char *)(made + n), *end = at + n_bytes;
  for (int64_t k = 0; k < n; k++) {
    made[k] = at;
    at += dvg_source_name(at, (size_t)(end - at), s, items[k]) + 1;
  }
  *names = made;
  return DVG_OK;
}

// ---- reading

static enum dvg_status read_set(struct dvg_image *image, char *digest, struct dvg_source *s, int64_t i) {
  struct dvg_image made = {0};
  DVG_TRY(dvg_image_create(&made, s->set.H, s->set.W, s->set.C));
  enum dvg_status status = dvg_image_set_read(&s->set, s->place[i], 1, made.pixels);
  if (status == DVG_OK && digest)
    status = dvg_digest_of(digest, made.pixels, (size_t)(made.H * made.W * made.C));
  if (status == DVG_OK) *image = made;
  else dvg_image_free(&made);
  return status;
}

static enum dvg_status decode(struct dvg_image *image, char *digest, const unsigned char *bytes, size_t n_bytes,
                              const struct dvg_source *s, int64_t i) {
  char where[4096];
  dvg_source_where(where, sizeof where, s, i);
  if (digest) DVG_TRY(dvg_digest_of(digest, bytes, n_bytes));
  return dvg_image_decode(image, bytes, n_bytes, where);
}

static enum dvg_status read_file(struct dvg_image *image, char *digest, struct dvg_source *s, int64_t i) {
  char *path = NULL;
  unsigned char *bytes = NULL;
  size_t n_bytes;
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_list_path(&path, &s->list, i));
  DVG_TRY_GOTO(dvg_path_read_bytes(path, max_file_bytes, &bytes, &n_bytes));
  DVG_TRY_GOTO(decode(image, digest, bytes, n_bytes, s, i));
done:
  dvg_free(&bytes);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_source_read(struct dvg_image *image, char *digest, struct dvg_source *s, int64_t i) {
  size_t first = 0;
  switch (s->kind) {
  case DVG_SOURCE_IMAGES:
    return read_set(image, digest, s, i);
  case DVG_SOURCE_RECORDIO:
    DVG_TRY(dvg_recordio_read(&s->bytes, &first, &s->rec, i));
    break;
  case DVG_SOURCE_TAR:
    DVG_TRY(dvg_tar_read(&s->bytes, &s->tar, s->place[i]));
    break;
  default:
    return read_file(image, digest, s, i);
  }
  return decode(image, digest, s->bytes.data + first, s->bytes.n - first, s, i);
}

int dvg_source_probe(int64_t *n_bytes, const struct dvg_source *s, int64_t i) {
  *n_bytes = 0;
  if (s->kind == DVG_SOURCE_RECORDIO) *n_bytes = s->rec.images[i].n_bytes;
  if (s->kind == DVG_SOURCE_TAR) *n_bytes = s->tar.images[s->place[i]].n_bytes;
  if (s->kind != DVG_SOURCE_LIST && s->kind != DVG_SOURCE_FOLDER) return 0;
  char *path = NULL;
  struct stat file;
  int cause = 0;
  if (dvg_list_path(&path, &s->list, i) != DVG_OK) return ENOMEM;
  if (stat(path, &file) != 0 || access(path, R_OK) != 0) cause = errno;
  else if (S_ISDIR(file.st_mode)) cause = EISDIR;
  else *n_bytes = file.st_size;
  dvg_free(&path);
  return cause;
}

// ---- lineage

static enum dvg_status add_text(struct dvg_digest *d, const char *text) {
  return dvg_digest_add(d, text, strlen(text) + 1);
}

static enum dvg_status add_item(struct dvg_digest *d, const struct dvg_source *s, int64_t i, int64_t n_bytes,
                                char *name) {
  dvg_source_name(name, MAX_NAME, s, i);
  DVG_TRY(add_text(d, name));
  DVG_TRY(add_text(d, s->person[s->identity[i]]));
  DVG_TRY(add_text(d, s->domain_name[s->domain[i]]));
  DVG_TRY(dvg_digest_add(d, &n_bytes, sizeof n_bytes));
  int has_landmarks = s->landmarks && s->has_landmarks[i];
  return dvg_digest_add(d, has_landmarks ? s->landmarks[i] : NULL, has_landmarks ? sizeof s->landmarks[i] : 0);
}

enum dvg_status dvg_source_digest(char digest[DVG_DIGEST_TEXT], const struct dvg_source *s,
                                  const int64_t *items, const int64_t *sizes, int64_t n) {
  static const char *const kinds[] = {"images", "list", "list", "recordio", "tar"};
  struct dvg_digest d = {0};
  char *name = NULL;
  if (s->kind == DVG_SOURCE_IMAGES) {
    memcpy(digest, dvg_artifact_digest(s->set.file), DVG_DIGEST_TEXT);
    return DVG_OK;
  }
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&name, MAX_NAME, "a name"));
  DVG_TRY_GOTO(dvg_digest_begin(&d));
  DVG_TRY_GOTO(add_text(&d, kinds[s->kind]));
  DVG_TRY_GOTO(dvg_digest_add(&d, &s->rec.file_bytes, sizeof s->rec.file_bytes));
  for (int64_t k = 0; k < n; k++) DVG_TRY_GOTO(add_item(&d, s, items[k], sizes[k], name));
  DVG_TRY_GOTO(dvg_digest_end(&d, digest));
done:
  dvg_digest_drop(&d);
  dvg_free(&name);
  return status;
}
