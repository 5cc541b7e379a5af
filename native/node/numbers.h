// A few numbers as one array of JS: what calls give that have more than one to tell.
#ifndef INTERPROC_NODE_NUMBERS_H_
#define INTERPROC_NODE_NUMBERS_H_

#include <napi.h>

#include <cstdint>
#include <initializer_list>

namespace interproc::node {

inline Napi::Value NumbersToJs(Napi::Env env, std::initializer_list<double> numbers) {
  Napi::Array list = Napi::Array::New(env, numbers.size());
  uint32_t index = 0;
  for (const double number : numbers) list.Set(index++, number);
  return list;
}

}  // namespace interproc::node

#endif  // INTERPROC_NODE_NUMBERS_H_
