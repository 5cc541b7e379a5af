{
  "targets": [
    {
      "target_name": "interproc",
      "sources": [
        "<!@(node -p \"Object.values(require('./native/sources.json')).flat().join(' ')\")"
      ],
      "include_dirs": ["native", "<!(node native/napi-headers.cjs)"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
      "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,--as-needed"]
    }
  ]
}
