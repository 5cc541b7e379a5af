{
  "targets": [
    {
      "target_name": "interproc",
      "sources": [
        "<!@(node -p \"Object.values(require('./native/sources.json')).flat().join(' ')\")"
      ],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags!": ["-O3"],
      "cflags": ["-O2", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
      "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,--as-needed", "-Wl,--gc-sections"]
    }
  ]
}
