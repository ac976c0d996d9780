/* A libnvidia-ml.so.1 that plays a script: the real binding calls it as it would a driver.

   FAKE_NVML_SCRIPT names a file with one line per poll, whose last line stays, and one word per GPU:
     81    81 degrees            h15   its handle fails with NVML error 15
     t3    its temperature fails with error 3 in both calls
     v74   74 degrees, but only by the deprecated call
   A line "c1" fails the count itself with error 1. FAKE_NVML_INIT is the error of nvmlInit,
   FAKE_NVML_MEMORY the bytes of each GPU; without it nobody tells them.
   Built with -DOLD_DRIVER it has no nvmlDeviceGetTemperatureV at all. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, BAD_ARGUMENT = 2, NOT_SUPPORTED = 3, VERSION_MISMATCH = 25, DEVICES = 16 };
typedef struct { unsigned version; int sensor; int temperature; } Temperature;

static char words[DEVICES][16];
static unsigned polls, count;
int fake_inits, fake_deprecated_calls;

int nvmlInitWithFlags(unsigned flags) {
    const char *error = getenv("FAKE_NVML_INIT");
    (void)flags;
    fake_inits++;
    return error ? atoi(error) : OK;
}

const char *nvmlErrorString(int error) { (void)error; return "as scripted"; }

int nvmlDeviceGetCount_v2(unsigned *out) {
    char line[512] = "";
    FILE *script = fopen(getenv("FAKE_NVML_SCRIPT"), "r");
    if (!script) return 999;
    for (unsigned i = 0; i <= polls && fgets(line, sizeof line, script); i++) {}
    fclose(script);
    polls++;
    if (line[0] == 'c') return atoi(line + 1);
    count = 0;
    for (char *word = strtok(line, " \n"); word && count < DEVICES; word = strtok(NULL, " \n"))
        snprintf(words[count++], sizeof words[0], "%s", word);
    *out = count;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index >= count) return BAD_ARGUMENT;
    if (words[index][0] == 'h') return atoi(words[index] + 1);
    *device = words[index];
    return OK;
}

int nvmlDeviceGetName(const char *device, char *name, unsigned length) {
    (void)device;
    snprintf(name, length, "Fake");
    return OK;
}

int nvmlDeviceGetMemoryInfo(const char *device, unsigned long long out[3]) {
    const char *total = getenv("FAKE_NVML_MEMORY");
    (void)device;
    if (!total) return NOT_SUPPORTED;
    out[0] = strtoull(total, NULL, 10);
    out[1] = out[0];
    out[2] = 0;
    return OK;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetTemperatureV(const char *device, Temperature *out) {
    if (out->version != (sizeof *out | 1u << 24)) return VERSION_MISMATCH;
    if (device[0] == 't') return atoi(device + 1);
    if (device[0] == 'v') return NOT_SUPPORTED;
    out->temperature = atoi(device);
    return OK;
}
#endif

int nvmlDeviceGetTemperature(const char *device, int sensor, unsigned *out) {
    (void)sensor;
    fake_deprecated_calls++;
    if (device[0] == 't') return atoi(device + 1);
    *out = (unsigned)atoi(device + (device[0] == 'v'));
    return OK;
}
