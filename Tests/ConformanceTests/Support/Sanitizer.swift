import Glibc

/// The sanitizer that the tests and the commands may have been built with (`tools/check --sanitize`).
enum Sanitizer {
    /// The runtimes of all sanitizers have this function.
    static let isPresent = dlsym(nil, "__sanitizer_sandbox_on_notify") != nil
}
