#include "stages/inspect/html_report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "stages/inspect/contact.h"
#include "stages/inspect/figures.h"
#include "stages/inspect/html.h"
#include "stages/inspect/html_graph.h"
#include "stages/inspect/html_results.h"
#include "stages/inspect/html_style.h"
#include "stages/inspect/html_training.h"
#include "stages/inspect/run_scan.h"

enum { LOG_BYTES = 256 << 20, MOST_CARD = 1 << 20, NOTE = 64 };

// ---- what a stage made, in a few words

static void describe_training(char *text, size_t n_bytes, const struct dvg_run_stage *s) {
  char figure[DVG_FIGURE];
  size_t n = 0;
  text[0] = 0;
  if (s->log.n_phases == 0 && s->done >= 0) snprintf(text, n_bytes, "%s steps", dvg_say_count(figure, s->done));
  for (int i = 0; i < s->log.n_phases && n < n_bytes; i++) {
    const struct dvg_log_phase *p = &s->log.phase[i];
    n += (size_t)snprintf(text + n, n_bytes - n, "%s%s", i ? " + " : "",
                          dvg_say_count(figure, p->point[p->n - 1].step));
    if (i + 1 == s->log.n_phases && s->state != DVG_RUN_DONE && n < n_bytes)
      n += (size_t)snprintf(text + n, n_bytes - n, " of %s", dvg_say_count(figure, p->of));
  }
  if (s->log.n_phases > 0 && n < n_bytes) snprintf(text + n, n_bytes - n, " steps");
}

static void describe(char *text, size_t n_bytes, const struct dvg_run_stage *s) {
  char done[DVG_FIGURE], total[DVG_FIGURE];
  text[0] = 0;
  if (s->kind == DVG_RUN_TRAINING) {
    describe_training(text, n_bytes, s);
    return;
  }
  if (!dvg_say_count(done, s->done)[0]) return;
  if (s->total >= 0 && s->total != s->done)
    snprintf(text, n_bytes, "%s of %s %s", done, dvg_say_count(total, s->total), dvg_run_unit(s->kind));
  else if (s->people >= 0)
    snprintf(text, n_bytes, "%s images of %s people", done, dvg_say_count(total, s->people));
  else snprintf(text, n_bytes, "%s %s", done, dvg_run_unit(s->kind));
}

// ---- head

static void put_tile(FILE *to, const char *figure, const char *what, const char *name) {
  if (!figure[0]) return;
  fprintf(to, "<li><b>%s</b><span>%s", figure, what);
  if (name[0]) fputs(" \u201c", to);
  dvg_html_put(to, name);
  fprintf(to, "%s</span></li>\n", name[0] ? "\u201d" : "");
}

static void put_tiles(FILE *to, const struct dvg_run *r, const struct dvg_run_results *results) {
  char text[DVG_FIGURE + 8];
  double seconds = 0;
  const struct dvg_run_result *last = NULL;
  for (int64_t i = 0; i < r->n; i++)
    if (r->stage[i].seconds >= 0) seconds += r->stage[i].seconds;
  for (int64_t i = 0; i < results->n; i++)
    if (!isnan(results->result[i].rank_1)) last = &results->result[i];
  fputs("<ul class=\"tiles\">\n", to);
  for (int64_t i = 0; i < r->n; i++)
    if (r->stage[i].kind == DVG_RUN_PAIRS)
      put_tile(to, dvg_say_count(text, r->stage[i].done), "generated pairs in", r->stage[i].name);
  if (last) {
    snprintf(text, sizeof text, "%.1f\u202f%%", 100 * last->rank_1);
    put_tile(to, text, "rank-1 of", last->label);
    const double tar = dvg_result_tar(last, 0.01, NULL);
    snprintf(text, sizeof text, "%.1f\u202f%%", 100 * tar);
    if (!isnan(tar)) put_tile(to, text, "TAR at FAR 1\u202f% of", last->label);
  }
  if (seconds > 0) put_tile(to, dvg_say_time(text, seconds), "in the stages whose time is known", "");
  fputs("</ul>\n", to);
}

static void put_head(FILE *to, const struct dvg_run *r, const struct dvg_run_results *results) {
  int64_t n[3] = {0, 0, 0};
  for (int64_t i = 0; i < r->n; i++) n[r->stage[i].state]++;
  fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>", to);
  dvg_html_put(to, r->name);
  fputs(
      " \u2013 dvgface run</title>\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'\"/>\n<style>\n",
      to);
  fputs(dvg_html_style, to);
  fputs("</style>\n</head>\n<body>\n<main>\n<header>\n<h1>", to);
  dvg_html_put(to, r->name);
  fprintf(to, "</h1>\n<p class=\"lead\">A run of dvgface: %lld stage%s", (long long)r->n, r->n == 1 ? "" : "s");
  if (n[DVG_RUN_RUNNING] == 0 && n[DVG_RUN_STOPPED] == 0) fputs(", all done.", to);
  else
    fprintf(to, ", %lld done, %lld running, %lld stopped.", (long long)n[DVG_RUN_DONE],
            (long long)n[DVG_RUN_RUNNING], (long long)n[DVG_RUN_STOPPED]);
  if (r->n_left_out) fprintf(to, " %lld more are left out.", (long long)r->n_left_out);
  char when[32];
  const time_t t = (time_t)r->changed;
  struct tm utc;
  if (r->changed > 0 && gmtime_r(&t, &utc) && strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &utc) > 0)
    fprintf(to, " Last written to on %s.", when);
  fputs("</p>\n", to);
  put_tiles(to, r, results);
}

// ---- stages

static void put_settings(FILE *to, const char *settings) {
  if (!settings[0]) return;
  fputs("<h4>settings</h4><dl>", to);
  for (const char *line = settings; *line;) {
    const size_t n = strcspn(line, "\n");
    const char *value = strstr(line, " = ");
    if (!value || value > line + n) value = line + n;
    fputs("<div><dt>", to);
    dvg_html_put_n(to, line, (size_t)(value - line));
    fputs("</dt><dd>", to);
    const char *from = value + 3 < line + n ? value + 3 : line + n;
    dvg_html_put_n(to, from, (size_t)(line + n - from));
    fputs("</dd></div>\n", to);
    line += n + (line[n] == '\n');
  }
  fputs("</dl>", to);
}

static void put_inputs(FILE *to, const struct dvg_run *r, int64_t stage) {
  int n = 0;
  for (int64_t e = 0; e < r->n_edges; e++) {
    const struct dvg_run_edge *x = &r->edge[e];
    if (x->to != stage) continue;
    if (n++ == 0) fputs("<h4>made from</h4><ul class=\"from\">", to);
    fputs("<li><span class=\"dim\">", to);
    dvg_html_put(to, x->role);
    fputs("</span> ", to);
    if (x->from >= 0) fprintf(to, "<a href=\"#stage-%lld\">", (long long)x->from);
    dvg_html_put(to, x->from >= 0 ? r->stage[x->from].name : x->name);
    if (x->from >= 0) fputs("</a>", to);
    fputs("<code>", to);
    dvg_html_put(to, x->digest);
    fputs("</code></li>\n", to);
  }
  if (n) fputs("</ul>", to);
}

static void put_more(FILE *to, const struct dvg_run *r, int64_t i) {
  const struct dvg_run_stage *s = &r->stage[i];
  fputs("<div class=\"more\">", to);
  if (s->n_locks > 0) {
    fputs(s->state == DVG_RUN_RUNNING ? "<p>Being written by " : "<p>Its writer is dead: ", to);
    dvg_html_put(to, s->holder.program);
    fprintf(to, ", process %lld on ", (long long)s->holder.pid);
    dvg_html_put(to, s->holder.host);
    fputs(", since ", to);
    dvg_html_put(to, s->holder.since);
    fputs(".</p>", to);
  }
  if (s->digest[0]) {
    fputs("<h4>digest", to);
    if (s->result[0]) fputs(" of ", to);
    dvg_html_put(to, s->result);
    fputs("</h4><code>", to);
    dvg_html_put(to, s->digest);
    fputs("</code>", to);
  }
  put_inputs(to, r, i);
  put_settings(to, s->settings);
  if (!s->digest[0] && !s->settings[0] && s->n_locks == 0) fputs("<p>Nothing is known of it yet.</p>", to);
  fputs("</div>", to);
}

static void put_stage(FILE *to, const struct dvg_run *r, int64_t i) {
  const struct dvg_run_stage *s = &r->stage[i];
  char text[256], figure[DVG_FIGURE];
  describe(text, sizeof text, s);
  fprintf(to,
          "<details class=\"stage %s\" id=\"stage-%lld\"><summary class=\"row\"><span "
          "class=\"dot\"></span><span class=\"name\">",
          dvg_run_state_name(s->state), (long long)i);
  dvg_html_put(to, s->name);
  fputs("</span><span class=\"program dim\">", to);
  dvg_html_put_n(to, s->program, dvg_program_length(s->program));
  fprintf(to, "</span><span class=\"made\">%s", text);
  if (s->state != DVG_RUN_DONE) fprintf(to, " <span class=\"state\">%s</span>", dvg_run_state_name(s->state));
  if (s->state == DVG_RUN_RUNNING && dvg_say_time(figure, s->eta)[0]) fprintf(to, ", %s to go", figure);
  if (s->state != DVG_RUN_DONE && s->total > 0 && s->done >= 0)
    fprintf(to, "<progress value=\"%lld\" max=\"%lld\"></progress>",
            (long long)(s->done < s->total ? s->done : s->total), (long long)s->total);
  fprintf(to, "</span><span class=\"took n\">%s</span><span class=\"speed n\">",
          dvg_say_time(figure, s->seconds));
  if (dvg_say_rate(figure, s->speed)[0])
    fprintf(to, "%s%s", figure, strncmp(figure, "1/", 2) == 0 ? "" : "\u202f/s");
  fputs("</span><span class=\"ranks n\">", to);
  if (s->ranks > 0)
    fprintf(to, "%s<span class=\"unit\"> rank%s</span>", dvg_say_count(figure, s->ranks),
            s->ranks == 1 ? "" : "s");
  fputs("</span></summary>", to);
  put_more(to, r, i);
  fputs("</details>\n", to);
}

static void put_stages(FILE *to, const struct dvg_run *r) {
  fputs("<section id=\"stages\"><h2>Stages</h2>\n<p class=\"lead\">Each opens to its digest, what it was made "
        "from, and its settings.</p>\n"
        "<div class=\"stages\">\n<div class=\"row head\"><span></span><span>stage</span><span>program</span>"
        "<span>made</span><span class=\"n\">time</span><span class=\"n\">speed</span><span "
        "class=\"n\">ranks</span></div>\n",
        to);
  for (int64_t i = 0; i < r->n; i++) put_stage(to, r, i);
  fputs("</div>\n<p class=\"hint\">Times: of trainings by their log, of others by the job\u2019s log or, where "
        "there is none, by when "
        "their files were written. Speeds: steps, images, items or pairs.</p></section>\n",
        to);
}

static enum dvg_status put_lineage(FILE *to, const struct dvg_run *r) {
  char(*note)[NOTE] = NULL;
  DVG_TRY(DVG_NEW(&note, r->n, "a graph"));
  for (int64_t i = 0; i < r->n; i++) {
    describe(note[i], NOTE, &r->stage[i]);
    char *people = r->stage[i].people >= 0 ? strstr(note[i], " of ") : NULL; // the box is narrow
    if (people) *people = 0;
    if (strlen(note[i]) > 22) note[i][0] = 0;
  }
  fputs("<section id=\"lineage\"><h2>Lineage</h2>\n<p class=\"lead\">What was made from what, by the digests "
        "in the files.</p>\n",
        to);
  enum dvg_status status = dvg_html_graph(to, r, note);
  fputs("</section>\n", to);
  dvg_free(&note);
  return status;
}

// ---- pairs

static double number_of(const cJSON *o, const char *name) {
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);
  return cJSON_IsNumber(x) ? x->valuedouble : NAN;
}

static const char *string_of(const cJSON *o, const char *name) {
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);
  return cJSON_IsString(x) ? x->valuestring : "";
}

static void put_counts(FILE *to, const cJSON *card) {
  static const struct {
    const char *key, *what;
  } counts[] = {{"requested", "asked for"},
                {"written", "written"},
                {"rejected_inconsistent", "rejected as inconsistent"},
                {"rejected_revoked", "rejected as revoked"}};
  char text[DVG_FIGURE];
  fputs("<p>", to);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    const double n = number_of(card, counts[i].key);
    if (n >= 0 && n < 9e15)
      fprintf(to, "%s%s %s", i ? ", " : "", dvg_say_count(text, (int64_t)n), counts[i].what);
  }
  fputs(". Identities come from ", to);
  dvg_html_put(to, string_of(card, "identities_from"));
  fputs(", attributes from ", to);
  dvg_html_put(to, string_of(card, "attributes_from"));
  fputs(".</p>\n<p class=\"hint\">Root digest <code>", to);
  dvg_html_put(to, string_of(card, "root_digest"));
  fputs("</code></p>\n", to);
}

static void put_scores(FILE *to, const cJSON *scores) {
  const cJSON *x;
  if (!cJSON_IsObject(scores) || !scores->child) return;
  fputs("<table><thead><tr><th>score</th><th class=\"n\">mean</th><th class=\"n\">least</th><th "
        "class=\"n\">largest</th></tr></thead><tbody>\n",
        to);
  cJSON_ArrayForEach(x, scores) {
    fputs("<tr><th scope=\"row\">", to);
    dvg_html_put(to, x->string ? x->string : "");
    fprintf(to, "</th><td class=\"n\">%.4f</td><td class=\"n\">%.4f</td><td class=\"n\">%.4f</td></tr>\n",
            number_of(x, "mean"), number_of(x, "least"), number_of(x, "largest"));
  }
  fputs("</tbody></table>\n", to);
}

// What stands between two ` as code.
static void put_marked(FILE *to, const char *text) {
  int is_code = 0;
  while (*text) {
    const size_t n = strcspn(text, "`");
    dvg_html_put_n(to, text, n);
    text += n;
    if (*text != '`') break;
    if (is_code || strchr(text + 1, '`')) {
      fputs(is_code ? "</code>" : "<code>", to);
      is_code = !is_code;
    } else fputc('`', to);
    text++;
  }
}

static void put_limits(FILE *to, const cJSON *limits) {
  const cJSON *x;
  if (!cJSON_IsArray(limits) || !limits->child) return;
  fputs("<div><h3>Known limits</h3><ul>\n", to);
  cJSON_ArrayForEach(x, limits) {
    if (!cJSON_IsString(x)) continue;
    fputs("<li>", to);
    put_marked(to, x->valuestring);
    fputs("</li>\n", to);
  }
  fputs("</ul></div>\n", to);
}

static void put_card(FILE *to, const cJSON *card) {
  fputs("<div class=\"card\"><div><h3>Dataset card</h3>\n", to);
  put_counts(to, card);
  put_scores(to, cJSON_GetObjectItemCaseSensitive(card, "scores"));
  fputs("</div>\n", to);
  put_limits(to, cJSON_GetObjectItemCaseSensitive(card, "known_limits"));
  fputs("</div>\n", to);
}

static enum dvg_status put_card_of(FILE *to, const struct dvg_run_stage *s) {
  char *path = NULL, *text = NULL;
  DVG_TRY(dvg_text(&path, "%s/card.json", s->path));
  dvg_log_quiet(1);
  enum dvg_status status = dvg_path_exists(path) ? dvg_path_read_text(path, MOST_CARD, &text) : DVG_OK;
  dvg_log_quiet(0);
  cJSON *card = status == DVG_OK && text ? cJSON_Parse(text) : NULL;
  if (cJSON_IsObject(card)) put_card(to, card);
  cJSON_Delete(card);
  dvg_free(&text);
  dvg_free(&path);
  return DVG_OK; // a card that isn't there yet is no failure
}

static enum dvg_status put_pairs_sheet(FILE *to, const struct dvg_run_stage *s) {
  const struct dvg_inspect look = {.rows = 4, .columns = 4};
  unsigned char *bytes = NULL;
  size_t n_bytes = 0;
  dvg_log_quiet(1);
  enum dvg_status status = dvg_contact_pairs_png(&bytes, &n_bytes, s->path, &look);
  dvg_log_quiet(0);
  if (status == DVG_OK) {
    fputs("<figure class=\"sheet\">", to);
    status = dvg_html_png(to, bytes, n_bytes, "generated pairs with their cosines");
    fputs("</figure>\n", to);
  }
  dvg_free(&bytes);
  return status == DVG_ERROR_MEMORY ? status : DVG_OK; // a set that changes meanwhile has none now
}

static int is_finished_set(const struct dvg_run_stage *s) {
  return s->kind == DVG_RUN_PAIRS && s->digest[0];
}

static int has_pairs(const struct dvg_run *r, const struct dvg_run_results *results) {
  int has = dvg_results_judge_pairs(results);
  for (int64_t i = 0; i < r->n; i++) has |= is_finished_set(&r->stage[i]);
  return has;
}

static enum dvg_status put_pairs(FILE *to, const struct dvg_run *r, const struct dvg_run_results *results) {
  if (!has_pairs(r, results)) return DVG_OK;
  fputs("<section id=\"pairs\"><h2>Generated pairs</h2>\n", to);
  for (int64_t i = 0; i < r->n; i++) {
    const struct dvg_run_stage *s = &r->stage[i];
    if (!is_finished_set(s)) continue;
    fputs("<h3>", to);
    dvg_html_put(to, s->name);
    fputs("</h3>\n", to);
    DVG_TRY(put_pairs_sheet(to, s));
    DVG_TRY(put_card_of(to, s));
  }
  dvg_html_qualities(to, results);
  fputs("</section>\n", to);
  return DVG_OK;
}

// ---- the page

static void put_nav(FILE *to, const struct dvg_run *r, const struct dvg_run_results *results) {
  int64_t n_trainings = 0, n_results = 0;
  for (int64_t i = 0; i < r->n; i++) n_trainings += r->stage[i].log.n_phases > 0;
  for (int64_t i = 0; i < results->n; i++) n_results += results->result[i].roc_far != NULL;
  fputs("<nav>", to);
  if (n_results) fputs("<a href=\"#results\">Recognition</a>", to);
  if (has_pairs(r, results)) fputs("<a href=\"#pairs\">Generated pairs</a>", to);
  fputs("<a href=\"#stages\">Stages</a><a href=\"#lineage\">Lineage</a>", to);
  if (n_trainings) fputs("<a href=\"#trainings\">Trainings</a>", to);
  fputs("</nav>\n</header>\n", to);
}

static enum dvg_status put_page(FILE *to, const struct dvg_run *r, const struct dvg_run_results *results) {
  put_head(to, r, results);
  put_nav(to, r, results);
  DVG_TRY(dvg_html_results(to, results, r));
  DVG_TRY(put_pairs(to, r, results));
  put_stages(to, r);
  DVG_TRY(put_lineage(to, r));
  DVG_TRY(dvg_html_trainings(to, r));
  fputs("<footer>Made by dvg-inspect " DVG_VERSION " from the files of ", to);
  dvg_html_put(to, r->name);
  fputs(". Sheets of trainings show images that were trained on: this page is as confidential as "
        "these.</footer>\n</main>\n</body>\n</html>\n",
        to);
  return DVG_OK;
}

static enum dvg_status make_page(char **text, size_t *n_bytes, const struct dvg_run *r) {
  struct dvg_run_results results;
  enum dvg_status status = dvg_results_read(&results, r);
  FILE *to = status == DVG_OK ? open_memstream(text, n_bytes) : NULL;
  if (status == DVG_OK && !to) status = dvg_fail(DVG_ERROR_MEMORY, "no memory for a report");
  if (status == DVG_OK) status = put_page(to, r, &results);
  const int bad = to && ferror(to);
  if (to && (fclose(to) != 0 || bad) && status == DVG_OK)
    status = dvg_fail(DVG_ERROR_MEMORY, "no memory for a report");
  dvg_results_free(&results);
  return status;
}

enum dvg_status dvg_report_html(const char *out, const char *folder) {
  struct dvg_run r;
  char *text = NULL;
  size_t n_bytes = 0;
  enum dvg_status status = dvg_run_scan(&r, folder, LOG_BYTES);
  if (status == DVG_OK && r.n == 0)
    status = dvg_fail(DVG_ERROR_INPUT,
                      "%s: holds no run: no artifact, training or set is in it or one level below", folder);
  if (status == DVG_OK) status = make_page(&text, &n_bytes, &r);
  if (status == DVG_OK) status = dvg_path_write_bytes(out, text, n_bytes);
  if (status == DVG_OK)
    dvg_info("report       %s, %.1f MB, %lld stages", out, (double)n_bytes / 1e6, (long long)r.n);
  free(text);
  dvg_run_free(&r);
  return status;
}
