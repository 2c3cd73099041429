/* The part of ONNX Runtime's C interface that embed.c uses, since the Python wheel brings the library without its header.
 *
 * OrtApi is a table of functions that only grows: a function keeps its place for ever. The numbers are those places. */
#ifndef STRIZH_EXAMPLES_ONNXRUNTIME_H
#define STRIZH_EXAMPLES_ONNXRUNTIME_H

#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus; /* an error, or null */
typedef struct OrtEnv OrtEnv;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtSession OrtSession;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtValue OrtValue; /* a tensor */
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;

enum { ORT_API_VERSION = 17, ORT_LOG_ERROR = 3, ORT_INT32 = 6, ORT_ARENA = 1, ORT_MEMORY_DEFAULT = 0 };

typedef struct {
  void* place_0[2];
  const char* (*GetErrorMessage)(const OrtStatus*);                      /* 2 */
  OrtStatus* (*CreateEnv)(int severity, const char* name, OrtEnv**);     /* 3 */
  void* place_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession**); /* 7 */
  void* place_8;
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names, const OrtValue* const* inputs,
                    size_t inputs_count, const char* const* output_names, size_t outputs_count, OrtValue** outputs); /* 9 */
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);               /* 10 */
  void* place_11[13];
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int);           /* 24 */
  void* place_25[4];
  OrtStatus* (*RegisterCustomOpsLibrary)(OrtSessionOptions*, const char* path, void** handle); /* 29 */
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, size_t*);        /* 30 */
  void* place_31;
  OrtStatus* (*SessionGetOverridableInitializerCount)(const OrtSession*, size_t*); /* 32 */
  void* place_33[3];
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t index, OrtAllocator*, char** name); /* 36 */
  void* place_37;
  OrtStatus* (*SessionGetOverridableInitializerName)(const OrtSession*, size_t index, OrtAllocator*, char** name); /* 38 */
  void* place_39[10];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* shape,
                                               size_t rank, int element, OrtValue**); /* 49 */
  void* place_50;
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void** data);            /* 51 */
  void* place_52[10];
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t* shape, size_t rank); /* 62 */
  void* place_63[2];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**); /* 65 */
  void* place_66[3];
  OrtStatus* (*CreateCpuMemoryInfo)(int allocator, int kind, OrtMemoryInfo**); /* 69 */
  void* place_70[6];
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);                     /* 76 */
  void* place_77;
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);          /* 78 */
  void* place_79[13];
  void (*ReleaseEnv)(OrtEnv*);                                           /* 92 */
  void (*ReleaseStatus)(OrtStatus*);                                     /* 93 */
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);                             /* 94 */
  void (*ReleaseSession)(OrtSession*);                                   /* 95 */
  void (*ReleaseValue)(OrtValue*);                                       /* 96 */
  void* place_97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);     /* 99 */
  void (*ReleaseSessionOptions)(OrtSessionOptions*);                     /* 100 */
} OrtApi;

/* What the library's one function, OrtGetApiBase(void), gives. */
typedef struct {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)(void);
} OrtApiBase;

#endif
