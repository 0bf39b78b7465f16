// Folders of images become the text of a list, which list.c parses.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/list_parse.h"

struct text {
  char *bytes;
  size_t n, room;
};

static enum dvg_status add(struct text *t, const char *piece) {
  size_t n = strlen(piece);
  if (t->n + n + 1 > t->room) {
    size_t room = 2 * (t->room + n + 4096);
    char *bytes = NULL;
    DVG_TRY(dvg_alloc((void **)&bytes, (int64_t)room, 1, "a list"));
    if (t->n) memcpy(bytes, t->bytes, t->n);
    dvg_free(&t->bytes);
    t->bytes = bytes;
    t->room = room;
  }
  memcpy(t->bytes + t->n, piece, n + 1);
  t->n += n;
  return DVG_OK;
}

struct scan {
  const char *root;
  struct text list;
};

static int is_visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static int is_image(const struct dirent *entry) {
  static const char *const endings[] = {".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".pnm", ".bmp"};
  const char *dot = strrchr(entry->d_name, '.');
  int is_known = 0;
  for (size_t k = 0; dot && k < sizeof endings / sizeof endings[0]; k++)
    is_known |= strcasecmp(dot, endings[k]) == 0;
  return is_visible(entry) && is_known;
}

// By bytes, not by the locale, which would make the order depend on the machine.
static int by_bytes(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static enum dvg_status list_folder(const char *path, int (*wanted)(const struct dirent *),
                                   struct dirent ***entries, int *n) {
  *n = scandir(path, entries, wanted, by_bytes);
  if (*n < 0) return dvg_fail(DVG_ERROR_IO, "%s: cannot list the folder: %s", path, strerror(errno));
  return DVG_OK;
}

static void free_entries(struct dirent **entries, int n) {
  for (int i = 0; i < n; i++) free(entries[i]);
  free(entries);
}

static int is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

// The images of one person: folder root/within/person.
static enum dvg_status scan_person(struct scan *s, const char *within, const char *person, const char *domain) {
  char *folder = NULL;
  struct dirent **entries = NULL;
  int n = 0;
  DVG_TRY(dvg_text(&folder, "%s/%s%s", s->root, within, person));
  enum dvg_status status = DVG_OK;
  if (!is_folder(folder)) goto done;
  DVG_TRY_GOTO(list_folder(folder, is_image, &entries, &n));
  for (int i = 0; i < n; i++) {
    if (strpbrk(entries[i]->d_name, "\t\r\n") || strpbrk(person, "\t\r\n")) {
      status = dvg_fail(DVG_ERROR_INPUT, "%s/%s: a tab or a line end in the name", folder, entries[i]->d_name);
      goto done;
    }
    // The empty first column: a name may begin with #.
    const char *pieces[] = {
        "\t", within, person, "/", entries[i]->d_name, "\t", person, domain ? "\t" : "", domain ? domain : "",
        "\n"};
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) DVG_TRY_GOTO(add(&s->list, pieces[k]));
  }
done:
  free_entries(entries, n);
  dvg_free(&folder);
  return status;
}

// All people of root/within.
static enum dvg_status scan_people(struct scan *s, const char *within, const char *domain) {
  char *folder = NULL;
  struct dirent **entries = NULL;
  int n = 0;
  DVG_TRY(dvg_text(&folder, "%s/%s", s->root, within));
  enum dvg_status status = list_folder(folder, is_visible, &entries, &n);
  for (int i = 0; i < n && status == DVG_OK; i++) status = scan_person(s, within, entries[i]->d_name, domain);
  if (n > 0 || entries) free_entries(entries, n);
  dvg_free(&folder);
  return status;
}

// Domain by domain, when they are folders of the root.
static enum dvg_status scan_domains(struct scan *s, char *domains) {
  DVG_TRY(add(&s->list, "\tpath\tidentity\tdomain\n"));
  char *rest = NULL;
  for (char *name = strtok_r(domains, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
    char *within = NULL, *folder = NULL;
    DVG_TRY(dvg_text(&within, "%s/", name));
    enum dvg_status status = dvg_text(&folder, "%s/%s", s->root, name);
    if (status == DVG_OK && !is_folder(folder))
      status = dvg_fail(DVG_ERROR_INPUT, "%s: no folder of this domain, while others of the domains have one",
                        folder);
    if (status == DVG_OK) status = scan_people(s, within, name);
    dvg_free(&within);
    dvg_free(&folder);
    if (status != DVG_OK) return status;
  }
  return DVG_OK;
}

// Whether a folder has folders of the n-th level below it.
static enum dvg_status has_folders(int *found, const char *path, int n) {
  struct dirent **entries = NULL;
  int n_entries = 0;
  enum dvg_status status = DVG_OK;
  *found = is_folder(path) && n == 0;
  if (*found || !is_folder(path)) return DVG_OK;
  DVG_TRY(list_folder(path, is_visible, &entries, &n_entries));
  for (int i = 0; i < n_entries && !*found && status == DVG_OK; i++) {
    char *below = NULL;
    status = dvg_text(&below, "%s/%s", path, entries[i]->d_name);
    if (status == DVG_OK) status = has_folders(found, below, n - 1);
    dvg_free(&below);
  }
  free_entries(entries, n_entries);
  return status;
}

// A folder of which no image comes: what looks like DOMAIN/PERSON has to be told.
static enum dvg_status check_depth(const char *root) {
  int found;
  DVG_TRY(has_folders(&found, root, 2));
  if (!found) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT,
                  "%s: no image in its folders, which hold folders: if they are DOMAIN/PERSON, name the domains "
                  "(--domains NIR,VIS; of dvg-extract --domain)",
                  root);
}

// Whether one of the comma-separated domains is a folder of the root, and how many there are.
static enum dvg_status count_domains(const char *root, const char *domains, int *n, int *n_folders) {
  *n = *n_folders = 0;
  for (const char *at = domains; *at;) {
    size_t length = strcspn(at, ",");
    char *folder = NULL;
    DVG_TRY(dvg_text(&folder, "%s/%.*s", root, (int)length, at));
    *n_folders += length > 0 && is_folder(folder);
    (*n)++;
    dvg_free(&folder);
    at += length;
    if (*at) at++;
  }
  return DVG_OK;
}

enum dvg_status dvg_list_scan(struct dvg_list *list, const char *root, const struct dvg_list_filter *filter) {
  const char *domains = filter && filter->domains ? filter->domains : "";
  if (filter && filter->where && *filter->where)
    return dvg_fail(DVG_ERROR_USAGE, "%s: 'where' needs a list with a header, not a folder", root);
  struct scan s = {.root = root};
  char *copy = NULL;
  int n = 0, n_folders = 0;
  enum dvg_status status;
  DVG_TRY_GOTO(count_domains(root, domains, &n, &n_folders));
  DVG_TRY_GOTO(dvg_text(&copy, "%s", domains));
  if (n_folders > 0) {
    status = scan_domains(&s, copy);
  } else {
    status = add(&s.list, n == 1 ? "\tpath\tidentity\tdomain\n" : "\tpath\tidentity\n");
    size_t n_header = s.list.n;
    if (status == DVG_OK) status = scan_people(&s, "", n == 1 ? copy : NULL);
    if (status == DVG_OK && s.list.n == n_header) status = check_depth(root);
  }
  if (status == DVG_OK) {
    status = dvg_list_parse(list, s.list.bytes, root, root, filter);
    s.list.bytes = NULL;
  }
done:
  dvg_free(&s.list.bytes);
  dvg_free(&copy);
  return status;
}
