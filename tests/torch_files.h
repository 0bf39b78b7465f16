// Files of PyTorch and safetensors made by hand, byte by byte: what unit tests and fuzzers of their readers begin with.
#ifndef DVG_TESTS_TORCH_FILES_H
#define DVG_TESTS_TORCH_FILES_H

#include <stdint.h>
#include <string.h>

struct dvg_bytes {
  size_t n;
  unsigned char at[1 << 16];
};

static inline void dvg_put(struct dvg_bytes *b, const void *bytes, size_t n) {
  if (n > sizeof b->at - b->n) n = sizeof b->at - b->n;
  memcpy(b->at + b->n, bytes, n);
  b->n += n;
}
// A string literal, NULs inside it too.
#define DVG_PUT(b, literal) dvg_put(b, literal, sizeof(literal) - 1)

static inline void dvg_put_little(struct dvg_bytes *b, uint64_t x, int n_bytes) {
  for (int i = 0; i < n_bytes; i++) {
    unsigned char byte = 0;
    if (i < 8) byte = (unsigned char)(x >> (8 * i));
    dvg_put(b, &byte, 1);
  }
}

// ---- pieces of pickles. Keys and counts are single characters, sizes are what makes a tuple of them.

#define P_TEXT1(c) "X\1\0\0\0" c
#define P_ID(type, key, count, more) "(X\7\0\0\0storagectorch\n" type "Storage\n" P_TEXT1(key) "X\3\0\0\0cpuK" count more "tQ"
#define P_TENSOR(id, offset, dims, strides)                                                                                                          \
  "ctorch._utils\n_rebuild_tensor_v2\n(" id "K" offset dims strides "\x89"                                                                           \
  "ccollections\nOrderedDict\n)RtR"
// The 2x3 float32 tensor that is all of storage 0; `more` is "N" in legacy streams.
#define P_PLAIN(more) P_TENSOR(P_ID("Float", "0", "\6", more), "\0", "K\2K\3\x86", "K\3K\1\x86")

#define P_MAGIC "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
#define P_HEAD "\x80\2\x8a\x0a" P_MAGIC ".\x80\2M\xe9\3.\x80\2}."

// Values 1, 2, ... n of float32, with their count in front in legacy streams.
static inline void dvg_put_values(struct dvg_bytes *b, int n, int with_count) {
  if (with_count) dvg_put_little(b, (uint64_t)n, 8);
  for (int i = 1; i <= n; i++) {
    float x = (float)i;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    dvg_put_little(b, bits, 4);
  }
}

// A legacy stream of an object (a pickle without its ending) whose one storage 0 has n values.
static inline void dvg_put_legacy(struct dvg_bytes *b, const void *object, size_t n_object, int n) {
  DVG_PUT(b, P_HEAD);
  dvg_put(b, object, n_object);
  DVG_PUT(b, ".\x80\2](" P_TEXT1("0") "e.");
  dvg_put_values(b, n, 1);
}

// ---- zip containers: the directory is collected beside

struct dvg_zip_bytes {
  struct dvg_bytes all, directory;
  int n_entries;
};

static inline void dvg_put_entry(struct dvg_zip_bytes *z, const char *name, const void *content, size_t n, int method) {
  size_t header = z->all.n, n_name = strlen(name);
  for (int central = 0; central < 2; central++) {
    struct dvg_bytes *b = central ? &z->directory : &z->all;
    dvg_put(b, central ? "PK\1\2\24\0" : "PK\3\4", central ? 6 : 4);
    dvg_put_little(b, 20, 2);
    dvg_put_little(b, 0, 2);
    dvg_put_little(b, (uint64_t)method, 2);
    dvg_put_little(b, 0, 8); // time, date, checksum
    dvg_put_little(b, n, 4);
    dvg_put_little(b, n, 4);
    dvg_put_little(b, n_name, 2);
    dvg_put_little(b, 0, central ? 12 : 2); // extra; comment, disk, attributes
    if (central) dvg_put_little(b, header, 4);
    dvg_put(b, name, n_name);
    if (!central) dvg_put(b, content, n);
  }
  z->n_entries++;
}

// The directory and its end; `wide`: as zip64.
static inline void dvg_put_end(struct dvg_zip_bytes *z, int wide) {
  struct dvg_bytes *b = &z->all;
  size_t first = b->n;
  dvg_put(b, z->directory.at, z->directory.n);
  size_t end64 = b->n;
  if (wide) {
    DVG_PUT(b, "PK\6\6");
    dvg_put_little(b, 44, 8);
    dvg_put_little(b, 0, 12);
    dvg_put_little(b, (uint64_t)z->n_entries, 8);
    dvg_put_little(b, (uint64_t)z->n_entries, 8);
    dvg_put_little(b, z->directory.n, 8);
    dvg_put_little(b, first, 8);
    DVG_PUT(b, "PK\6\7\0\0\0\0");
    dvg_put_little(b, end64, 8);
    dvg_put_little(b, 1, 4);
  }
  DVG_PUT(b, "PK\5\6\0\0\0\0");
  dvg_put_little(b, wide ? 0xffff : (uint64_t)z->n_entries, 2);
  dvg_put_little(b, wide ? 0xffff : (uint64_t)z->n_entries, 2);
  dvg_put_little(b, wide ? 0xffffffff : z->directory.n, 4);
  dvg_put_little(b, wide ? 0xffffffff : first, 4);
  dvg_put_little(b, 0, 2);
}

// A container of an object (a pickle without its ending) whose one storage 0 has n values.
static inline void dvg_put_container(struct dvg_zip_bytes *z, const void *object, size_t n_object, int n, const char *byte_order, int wide) {
  static struct dvg_bytes pickle, values;
  pickle.n = values.n = 0;
  dvg_put(&pickle, object, n_object);
  DVG_PUT(&pickle, ".");
  dvg_put_values(&values, n, 0);
  dvg_put_entry(z, "top/data.pkl", pickle.at, pickle.n, 0);
  if (byte_order) dvg_put_entry(z, "top/byteorder", byte_order, strlen(byte_order), 0);
  dvg_put_entry(z, "top/data/0", values.at, values.n, 0);
  dvg_put_end(z, wide);
}

// ---- safetensors: a header and n values

static inline void dvg_put_safetensors(struct dvg_bytes *b, const char *header, int n) {
  dvg_put_little(b, strlen(header), 8);
  dvg_put(b, header, strlen(header));
  dvg_put_values(b, n, 0);
}

#endif
