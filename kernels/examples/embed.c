/* Embeds token ids with a cpu-* variant of a bundle: ONNX Runtime and strizh's operators, no Python.
 *
 *     cc -O2 embed.c -ldl -o embed
 *     echo '0 6 7 2' | ./embed LIBONNXRUNTIME LIBSTRIZH_CPU BUNDLE/packed/cpu_bf16.onnx
 *
 * Each line of the input is one text: its token ids, special tokens among them. Each line of the output is its vector, in
 * digits that give back the same float32. The Python wheel has ONNX Runtime as onnxruntime/capi/libonnxruntime.so.*, and
 * strizh.kernels.library_path() is where the operators lie. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnxruntime.h"

static const OrtApi* ort;

#define fail(...) (fprintf(stderr, "embed: " __VA_ARGS__), fputc('\n', stderr), exit(1))

static void check(OrtStatus* status) {
  if (status) fail("%s", ort->GetErrorMessage(status));
}

static void* grown(void* memory, size_t bytes) {
  memory = realloc(memory, bytes);
  if (!memory) fail("there is not enough memory");
  return memory;
}

static const OrtApi* open_runtime(const char* path) {
  void* library = dlopen(path, RTLD_NOW);
  if (!library) fail("%s", dlerror());
  const OrtApiBase* (*base)(void) = (const OrtApiBase* (*)(void))dlsym(library, "OrtGetApiBase");
  if (!base) fail("the first argument is not ONNX Runtime's library");
  const OrtApi* api = base()->GetApi(ORT_API_VERSION);
  if (!api) fail("this ONNX Runtime is older than 1.17; install a newer one");
  return api;
}

/* All texts one after the other; text i has the ids from cu_seqlens[i] to cu_seqlens[i + 1]. */
typedef struct {
  int32_t *input_ids, *cu_seqlens;
  int64_t tokens, texts;
} Batch;

static Batch read_batch(FILE* file) {
  Batch batch = {NULL, grown(NULL, sizeof(int32_t)), 0, 0};
  char* line = NULL;
  size_t capacity = 0;
  batch.cu_seqlens[0] = 0;
  while (getline(&line, &capacity, file) >= 0) {
    char *at = line, *end;
    for (long id; id = strtol(at, &end, 10), end != at; at = end) {
      batch.input_ids = grown(batch.input_ids, (size_t)(batch.tokens + 1) * sizeof(int32_t));
      batch.input_ids[batch.tokens++] = (int32_t)id;
    }
    if (at[strspn(at, " \t\r\n")]) fail("a line of the input holds something other than token ids");
    batch.cu_seqlens = grown(batch.cu_seqlens, (size_t)(batch.texts + 2) * sizeof(int32_t));
    batch.cu_seqlens[++batch.texts] = (int32_t)batch.tokens;
  }
  free(line);
  return batch;
}

static OrtSession* open_session(const OrtEnv* env, const char* operators, const char* graph) {
  OrtSessionOptions* options;
  OrtSession* session;
  void* library; /* stays loaded as long as the process lives */
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1)); /* the operators bring their own threads */
  check(ort->RegisterCustomOpsLibrary(options, operators, &library));
  check(ort->CreateSession(env, graph, options, &session));
  ort->ReleaseSessionOptions(options);
  return session;
}

static OrtValue* tensor(const OrtMemoryInfo* memory, int32_t* data, int64_t count) {
  OrtValue* value;
  check(ort->CreateTensorWithDataAsOrtValue(memory, data, (size_t)count * sizeof *data, &count, 1, ORT_INT32, &value));
  return value;
}

/* Whether the graph takes output_token_embeddings: where a text's vector is read from one token, and the last layer may leave
 * out the others. Any other input that may be left out is; one that may not be ends the program. */
static size_t takes_output_tokens(const OrtSession* session) {
  OrtAllocator* allocator;
  char* name;
  size_t needed, optional, found = 0;
  check(ort->GetAllocatorWithDefaultOptions(&allocator)); /* which nobody releases */
  check(ort->SessionGetInputCount(session, &needed));
  check(ort->SessionGetOverridableInitializerCount(session, &optional));
  for (size_t i = 0; i < needed + optional; i++) {
    check(i < needed ? ort->SessionGetInputName(session, i, allocator, &name)
                     : ort->SessionGetOverridableInitializerName(session, i - needed, allocator, &name));
    if (i >= needed) found |= !strcmp(name, "output_token_embeddings");
    else if (strcmp(name, "input_ids") && strcmp(name, "cu_seqlens"))
      fail("the graph also needs the input '%s'; expected a cpu-* variant that embeds single texts by their ids alone", name);
    check(ort->AllocatorFree(allocator, name));
  }
  return found;
}

static OrtValue* embed(OrtSession* session, const Batch* batch) {
  static const char* const input_names[] = {"input_ids", "cu_seqlens", "output_token_embeddings"};
  static const char* const output_names[] = {"sentence_embedding"};
  static int32_t no = 0;
  OrtMemoryInfo* memory;
  OrtValue* vectors = NULL;
  check(ort->CreateCpuMemoryInfo(ORT_ARENA, ORT_MEMORY_DEFAULT, &memory));
  OrtValue* inputs[] = {tensor(memory, batch->input_ids, batch->tokens), tensor(memory, batch->cu_seqlens, batch->texts + 1),
                        tensor(memory, &no, 1)};
  check(ort->Run(session, NULL, input_names, (const OrtValue* const*)inputs, 2 + takes_output_tokens(session),
                 output_names, 1, &vectors));
  for (int i = 0; i < 3; i++) ort->ReleaseValue(inputs[i]);
  ort->ReleaseMemoryInfo(memory);
  return vectors;
}

static void print_vectors(OrtValue* vectors) {
  OrtTensorTypeAndShapeInfo* info;
  int64_t shape[2]; /* texts, dimension */
  float* values;
  check(ort->GetTensorTypeAndShape(vectors, &info));
  check(ort->GetDimensions(info, shape, 2));
  check(ort->GetTensorMutableData(vectors, (void**)&values));
  for (int64_t text = 0; text < shape[0]; text++)
    for (int64_t i = 0; i < shape[1]; i++) printf("%.9g%c", *values++, i + 1 < shape[1] ? ' ' : '\n');
  ort->ReleaseTensorTypeAndShapeInfo(info);
}

int main(int count, char** arguments) {
  OrtEnv* env;
  if (count != 4) fail("expected three arguments: ONNX Runtime's library, strizh's, and the graph of a cpu-* variant");
  ort = open_runtime(arguments[1]);
  check(ort->CreateEnv(ORT_LOG_ERROR, "embed", &env));

  OrtSession* session = open_session(env, arguments[2], arguments[3]);
  Batch batch = read_batch(stdin);
  OrtValue* vectors = embed(session, &batch);
  print_vectors(vectors);

  ort->ReleaseValue(vectors);
  ort->ReleaseSession(session);
  ort->ReleaseEnv(env);
  free(batch.input_ids);
  free(batch.cu_seqlens);
  return 0;
}
