// Python's values as those of ops.hpp.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "ops.hpp"

namespace segrt {

namespace py = pybind11;

// Numbers and names are read by hand: pybind11's own conversions of nested tuples cost more than a small kernel.
template <class Value, std::size_t kCount>
Value choose(const py::str& name, const std::array<const char*, kCount>& names) {
    const char* const text = PyUnicode_AsUTF8(name.ptr());
    if (!text) throw py::error_already_set();
    for (std::size_t i = 0; i < kCount; ++i) {
        if (std::strcmp(text, names[i]) == 0) return static_cast<Value>(i);
    }
    throw py::value_error(std::string("unknown name '") + text + "'");
}

inline py::handle item(py::handle tuple, int i) {
    PyObject* const found = PyTuple_GetItem(tuple.ptr(), i);  // borrowed
    if (!found) throw py::error_already_set();
    return found;
}

inline int whole(py::handle tuple, int i) {
    const long value = PyLong_AsLong(item(tuple, i).ptr());
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return static_cast<int>(value);
}

inline void three(py::handle tuple, float (&to)[3]) {
    for (int i = 0; i < 3; ++i) {
        const double value = PyFloat_AsDouble(item(tuple, i).ptr());
        if (value == -1.0 && PyErr_Occurred()) throw py::error_already_set();
        to[i] = static_cast<float>(value);
    }
}

// In the order of the enums in ops.hpp.
inline const std::array<const char*, 7> kFormats = {"bgr", "rgb", "bgra", "gray8", "gray16", "nv12", "i420"};
inline const std::array<const char*, 4> kLayouts = {"nhwc_u8", "nchw_f32", "nchw_f16", "nhwc_f16"};
inline const std::array<const char*, 2> kActivations = {"softmax", "sigmoid"};

/// Lets other Python threads run while it lives.
///
/// Unlike py::gil_scoped_release it survives the end of the interpreter, which ends a daemon thread that asks for the
/// lock by unwinding its stack: out of a destructor, and so with std::terminate for the whole process. Such a thread
/// stops here instead, as Python 3.14 has it.
class OthersMayRun {
  public:
    OthersMayRun() : state_(PyEval_SaveThread()) {}
    OthersMayRun(const OthersMayRun&) = delete;
    OthersMayRun& operator=(const OthersMayRun&) = delete;
    ~OthersMayRun() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // only that unwinding comes this way
            for (;;) pause();
        }
    }

  private:
    PyThreadState* state_;
};

inline Rect rect(py::handle box) { return {whole(box, 0), whole(box, 1), whole(box, 2), whole(box, 3)}; }

inline Placement placement(const py::tuple& from) {
    const py::handle frame = item(from, 0), input = item(from, 1);
    return {whole(frame, 0), whole(frame, 1),     whole(input, 0),
            whole(input, 1), rect(item(from, 2)), rect(item(from, 3))};
}

}  // namespace segrt
