#include "stages/inspect/html_training.h"

#include <dirent.h>
#include <math.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"

enum { MOST_SHEET = 16 << 20, SHEET_NAME = 256 };

// ---- curves

struct columns { // of a phase, as charts take them
  double *step, *loss, *rate;
};

static enum dvg_status make_columns(struct columns *c, const struct dvg_log_phase *p) {
  DVG_TRY(DVG_NEW(&c->step, 3 * p->n, "a curve"));
  c->loss = c->step + p->n;
  c->rate = c->loss + p->n;
  for (int64_t i = 0; i < p->n; i++) {
    c->step[i] = (double)p->point[i].step;
    c->loss[i] = p->point[i].loss;
    c->rate[i] = p->point[i].rate;
  }
  return DVG_OK;
}

static void put_chart(FILE *to, const char *title, const struct dvg_chart_curve *curve, int n) {
  const struct dvg_chart c = {.title = title,
                              .fit_log_y = 1,
                              .x_min = NAN,
                              .x_max = NAN,
                              .y_min = NAN,
                              .y_max = NAN,
                              .curve = curve,
                              .n_curves = n};
  dvg_html_chart(to, &c);
}

static size_t stem(const char *term) { // "pixel.nir": what stands before the dot
  return strcspn(term, ".");
}

static int same_stem(const char *a, const char *b) {
  return stem(a) == stem(b) && strncmp(a, b, stem(a)) == 0;
}

// The terms that differ in what follows a dot alone share a chart: "pixel" of nir and vis.
static void put_terms(FILE *to, const struct dvg_log_phase *p, const double *step) {
  unsigned char drawn[DVG_LOG_TERMS] = {0};
  for (int i = 0; i < p->n_terms; i++) {
    struct dvg_chart_curve curve[DVG_CHART_COLOURS];
    int n = 0;
    for (int k = i; k < p->n_terms && n < DVG_CHART_COLOURS; k++) {
      const char *name = p->term[k].name;
      if (drawn[k] || !same_stem(name, p->term[i].name)) continue;
      curve[n++] = (struct dvg_chart_curve){name[stem(name)] ? name + stem(name) + 1 : name, step,
                                            p->term[k].value, p->n};
      drawn[k] = 1;
    }
    if (n == 0) continue;
    char title[DVG_LOG_NAME];
    snprintf(title, sizeof title, "%.*s", (int)stem(p->term[i].name), p->term[i].name);
    for (char *c = title; *c; c++)
      if (*c == '_') *c = ' ';
    if (n == 1 && !p->term[i].name[stem(p->term[i].name)]) curve[0].name = "";
    put_chart(to, title, curve, n);
  }
}

// With one term of weight one the sum says nothing more.
static int is_only_term(const struct dvg_log_phase *p) {
  if (p->n_terms != 1) return 0;
  for (int64_t i = 0; i < p->n; i++)
    if (p->term[0].value[i] != p->point[i].loss) return 0;
  return 1;
}

static int is_constant(const double *value, int64_t n) {
  for (int64_t i = 1; i < n; i++)
    if (value[i] != value[0]) return 0;
  return 1;
}

// "phase1, 40 steps, learning rate 0.003": what no curve says; of a single line of the log all of it.
static void put_summary(FILE *to, const struct dvg_log_phase *p, int has_rate_curve) {
  char text[DVG_FIGURE];
  const struct dvg_log_point *last = &p->point[p->n - 1];
  fputs("<p class=\"hint\">", to);
  dvg_html_put(to, p->name);
  fprintf(to, ": %s ", dvg_say_count(text, last->step));
  if (p->of != last->step) fprintf(to, "of %s ", dvg_say_count(text, p->of));
  fputs("steps", to);
  if (!has_rate_curve && dvg_say_value(text, last->rate)[0]) fprintf(to, ", learning rate %s", text);
  if (p->n == 1) fprintf(to, ", loss %s", dvg_say_value(text, last->loss));
  for (int i = 0; i < p->n_terms && p->n == 1; i++) {
    fputs(", ", to);
    dvg_html_put(to, p->term[i].name);
    fprintf(to, " %s", dvg_say_value(text, p->term[i].value[0]));
  }
  fputs("</p>\n", to);
}

static enum dvg_status put_phase(FILE *to, const struct dvg_log_phase *p) {
  struct columns c = {NULL, NULL, NULL};
  DVG_TRY(make_columns(&c, p));
  const int has_rate_curve = !is_constant(c.rate, p->n);
  put_summary(to, p, has_rate_curve);
  if (p->n > 1) {
    const struct dvg_chart_curve loss = {"", c.step, c.loss, p->n}, rate = {"", c.step, c.rate, p->n};
    fputs("<div class=\"charts\">\n", to);
    if (!is_only_term(p)) put_chart(to, "loss, the weighted sum", &loss, 1);
    put_terms(to, p, c.step);
    if (has_rate_curve) put_chart(to, "learning rate", &rate, 1);
    fputs("</div>\n", to);
  }
  dvg_free(&c.step);
  return DVG_OK;
}

// ---- sheets

// The sheet of the latest step of the last phase that drew one: name = PHASE-NNNNNN.png; "" without any.
static enum dvg_status find_sheet(char name[SHEET_NAME], const struct dvg_run_stage *s) {
  char *folder = NULL;
  long long latest = -1;
  int phase = -1;
  name[0] = 0;
  DVG_TRY(dvg_text(&folder, "%s/sheets", s->path));
  DIR *d = opendir(folder);
  for (const struct dirent *e; d && (e = readdir(d));)
    for (int i = 0; i < s->log.n_phases; i++) {
      const size_t n = strlen(s->log.phase[i].name);
      long long step;
      int end = 0;
      if (strncmp(e->d_name, s->log.phase[i].name, n) != 0 ||
          sscanf(e->d_name + n, "-%lld.png%n", &step, &end) != 1 || end == 0 || e->d_name[n + (size_t)end] ||
          i < phase || (i == phase && step <= latest) || strlen(e->d_name) >= SHEET_NAME)
        continue;
      phase = i;
      latest = step;
      snprintf(name, SHEET_NAME, "%.*s", SHEET_NAME - 1, e->d_name);
    }
  if (d) closedir(d);
  dvg_free(&folder);
  return DVG_OK;
}

struct sheet {
  char name[SHEET_NAME]; // "": there is none
  unsigned char *bytes;
  size_t n_bytes;
};

// One that is gone or half there is none.
static enum dvg_status read_sheet(struct sheet *sheet, const struct dvg_run_stage *s) {
  char *path = NULL;
  DVG_TRY(find_sheet(sheet->name, s));
  if (!sheet->name[0]) return DVG_OK;
  DVG_TRY(dvg_text(&path, "%s/sheets/%s", s->path, sheet->name));
  dvg_log_quiet(1);
  enum dvg_status status = dvg_path_exists(path)
                               ? dvg_path_read_bytes(path, MOST_SHEET, &sheet->bytes, &sheet->n_bytes)
                               : DVG_ERROR_IO;
  dvg_log_quiet(0);
  if (status != DVG_OK) sheet->name[0] = 0;
  dvg_free(&path);
  return status == DVG_ERROR_MEMORY ? status : DVG_OK;
}

static enum dvg_status put_sheet(FILE *to, const struct sheet *s) {
  if (!s->name[0]) return DVG_OK;
  fputs("<figure class=\"sheet\">", to);
  enum dvg_status status = dvg_html_png(to, s->bytes, s->n_bytes, s->name);
  fputs("<figcaption>", to);
  dvg_html_put(to, s->name);
  fprintf(to, "%s</figcaption></figure>\n", status == DVG_OK ? "" : ": no PNG");
  return status == DVG_ERROR_MEMORY ? status : DVG_OK;
}

// ---- the section

static void put_head(FILE *to, int64_t number, const struct dvg_run_stage *s) {
  char text[DVG_FIGURE];
  fprintf(to, "<h3><a href=\"#stage-%lld\">", (long long)number);
  dvg_html_put(to, s->name);
  fputs("</a><small>", to);
  dvg_html_put_n(to, s->program, dvg_program_length(s->program));
  if (dvg_say_time(text, s->seconds)[0]) fprintf(to, ", %s", text);
  if (s->state != DVG_RUN_DONE) fprintf(to, ", %s", dvg_run_state_name(s->state));
  fputs("</small></h3>\n", to);
  if (s->log.n_bad)
    fprintf(to, "<p class=\"hint\">%s lines of its log are damaged and left out.</p>\n",
            dvg_say_count(text, s->log.n_bad));
  if (s->log.cut) fputs("<p class=\"hint\">Its log is long: only the end is shown.</p>\n", to);
}

// A high and narrow sheet stands beside the curves, any other below them.
static enum dvg_status put_training(FILE *to, const struct dvg_run_stage *s) {
  struct sheet sheet = {.bytes = NULL};
  int64_t W, H;
  enum dvg_status status;
  DVG_TRY_GOTO(read_sheet(&sheet, s));
  const int is_beside = dvg_html_png_size(&W, &H, sheet.bytes, sheet.n_bytes) && H > 2 * W;
  fputs(is_beside ? "<div class=\"training beside\"><div>\n" : "<div class=\"training\">\n", to);
  for (int k = 0; k < s->log.n_phases; k++) DVG_TRY_GOTO(put_phase(to, &s->log.phase[k]));
  if (is_beside) fputs("</div>", to);
  status = put_sheet(to, &sheet);
  fputs("</div>\n", to);
done:
  dvg_free(&sheet.bytes);
  return status;
}

enum dvg_status dvg_html_trainings(FILE *to, const struct dvg_run *r) {
  int n = 0;
  for (int64_t i = 0; i < r->n; i++) {
    const struct dvg_run_stage *s = &r->stage[i];
    if (s->log.n_phases == 0) continue;
    if (n++ == 0)
      fputs("<section id=\"trainings\"><h2>Trainings</h2>\n<p class=\"lead\">Means between two lines of the "
            "log, over "
            "steps.</p>\n",
            to);
    put_head(to, i, s);
    DVG_TRY(put_training(to, s));
  }
  if (n) fputs("</section>\n", to);
  return DVG_OK;
}
