import Glibc

/// The functions of the system's OpenSSL that this module calls, found at run time (dlopen(3), dlsym(3)).
///
/// Nothing is linked, so the package builds without OpenSSL, and a machine without it says so when TLS is asked for. All
/// functions are in OpenSSL 3 and in 1.1.1. The comments of their man pages hold: ssl(7ssl), crypto(7ssl).
struct OpenSSL: @unchecked Sendable {
    /// The library of this process, which the first use loads.
    static let shared = Result<OpenSSL, TLSError> { () throws(TLSError) in try OpenSSL() }

    private static let names = ["libssl.so.3", "libssl.so.1.1"]

    typealias Handle = OpaquePointer
    typealias Bytes = UnsafeRawPointer
    typealias MutableBytes = UnsafeMutableRawPointer
    typealias Text = UnsafePointer<CChar>
    typealias Verify = @convention(c) (Int32, Handle?) -> Int32
    typealias Passphrase = @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, MutableBytes?) -> Int32
    typealias NewSession = @convention(c) (Handle?, Handle?) -> Int32

    let version: UInt

    // SSL_CTX
    let clientMethod: @convention(c) () -> Handle?
    let serverMethod: @convention(c) () -> Handle?
    let newContext: @convention(c) (Handle?) -> Handle?
    let freeContext: @convention(c) (Handle?) -> Void
    let controlContext: @convention(c) (Handle, Int32, Int, MutableBytes?) -> Int
    let setOptions: @convention(c) (Handle, UInt) -> UInt
    let setVerify: @convention(c) (Handle, Int32, Verify?) -> Void
    let useDefaultPaths: @convention(c) (Handle) -> Int32
    let loadAuthorities: @convention(c) (Handle, Text?, Text?) -> Int32
    let useCertificate: @convention(c) (Handle, Text) -> Int32
    let useKey: @convention(c) (Handle, Text, Int32) -> Int32
    let setPassphrase: @convention(c) (Handle, Passphrase?) -> Void
    let setPassphraseData: @convention(c) (Handle, MutableBytes?) -> Void
    let setProtocols: @convention(c) (Handle, Bytes, UInt32) -> Int32
    let setNewSession: @convention(c) (Handle, NewSession?) -> Void
    let setSessionContext: @convention(c) (Handle, Bytes, UInt32) -> Int32
    // SSL
    let newConnection: @convention(c) (Handle) -> Handle?
    let freeConnection: @convention(c) (Handle?) -> Void
    let controlConnection: @convention(c) (Handle, Int32, Int, MutableBytes?) -> Int
    let setBuffers: @convention(c) (Handle, Handle?, Handle?) -> Void
    let setData: @convention(c) (Handle, Int32, MutableBytes?) -> Int32
    let data: @convention(c) (Handle, Int32) -> MutableBytes?
    let connect: @convention(c) (Handle) -> Void
    let accept: @convention(c) (Handle) -> Void
    let isFinished: @convention(c) (Handle) -> Int32
    let handshake: @convention(c) (Handle) -> Int32
    let read: @convention(c) (Handle, MutableBytes?, Int32) -> Int32
    let write: @convention(c) (Handle, Bytes?, Int32) -> Int32
    let shutdown: @convention(c) (Handle) -> Int32
    let setShutdown: @convention(c) (Handle, Int32) -> Void
    let error: @convention(c) (Handle, Int32) -> Int32
    let verifyParameters: @convention(c) (Handle) -> Handle?
    let setHost: @convention(c) (Handle, Text) -> Int32
    let versionName: @convention(c) (Handle) -> Text?
    let isReused: @convention(c) (Handle) -> Int32
    let setSession: @convention(c) (Handle, Handle?) -> Int32
    let freeSession: @convention(c) (Handle?) -> Void
    let storeIndex: @convention(c) () -> Int32
    // X509
    let setAddress: @convention(c) (Handle?, Text) -> Int32
    let setHostFlags: @convention(c) (Handle?, UInt32) -> Void
    let storeError: @convention(c) (Handle) -> Int32
    let storeCertificate: @convention(c) (Handle) -> Handle?
    let storeData: @convention(c) (Handle, Int32) -> MutableBytes?
    let verifyText: @convention(c) (Int) -> Text?
    let notBefore: @convention(c) (Handle) -> Handle?
    let notAfter: @convention(c) (Handle) -> Handle?
    let printTime: @convention(c) (Handle?, Handle?) -> Int32
    let subject: @convention(c) (Handle) -> Handle?
    let issuer: @convention(c) (Handle) -> Handle?
    let printName: @convention(c) (Handle?, Handle?, Int32, UInt) -> Int32
    let extensionIndex: @convention(c) (Handle, Int32, Int32) -> Int32
    let certificateExtension: @convention(c) (Handle, Int32) -> Handle?
    let printExtension: @convention(c) (Handle?, Handle?, UInt, Int32) -> Int32
    // BIO and ERR
    let memoryMethod: @convention(c) () -> Handle?
    let newBuffer: @convention(c) (Handle?) -> Handle?
    let freeBuffer: @convention(c) (Handle?) -> Int32
    let readBuffer: @convention(c) (Handle, MutableBytes?, Int32) -> Int32
    let writeBuffer: @convention(c) (Handle, Bytes?, Int32) -> Int32
    let nextError: @convention(c) () -> UInt
    let clearErrors: @convention(c) () -> Void
    let reason: @convention(c) (UInt) -> Text?

    private init() throws(TLSError) {
        var library: UnsafeMutableRawPointer?
        var complaints: [String] = []
        for name in OpenSSL.names where library == nil {
            library = dlopen(name, RTLD_NOW | RTLD_LOCAL)
            if library == nil { complaints.append(dlerror().map { String(cString: $0) } ?? name) }
        }
        guard let library else {
            throw TLSError(
                .noLibrary,
                "TLS needs the system's OpenSSL 3 or 1.1.1, and \(OpenSSL.names.joined(separator: " and ")) cannot be "
                    + "loaded; install it (Debian: libssl3, Fedora: openssl-libs). "
                    + complaints.joined(separator: "; "))
        }
        func load<Function>(_ name: String) throws(TLSError) -> Function {
            // A symbol of libcrypto is found through libssl, which is linked with it.
            guard let symbol = dlsym(library, name) else {
                throw TLSError(.noLibrary, "the system's OpenSSL has no \(name), which TLS needs: it is too old")
            }
            return unsafeBitCast(symbol, to: Function.self)
        }
        let initialize: @convention(c) (UInt64, UnsafeRawPointer?) -> Int32 = try load("OPENSSL_init_ssl")
        // Its exit handler would free what the I/O thread is using.
        _ = initialize(OpenSSL.noExitHandler, nil)
        let versionNumber: @convention(c) () -> UInt = try load("OpenSSL_version_num")
        version = versionNumber()

        clientMethod = try load("TLS_client_method")
        serverMethod = try load("TLS_server_method")
        newContext = try load("SSL_CTX_new")
        freeContext = try load("SSL_CTX_free")
        controlContext = try load("SSL_CTX_ctrl")
        setOptions = try load("SSL_CTX_set_options")
        setVerify = try load("SSL_CTX_set_verify")
        useDefaultPaths = try load("SSL_CTX_set_default_verify_paths")
        loadAuthorities = try load("SSL_CTX_load_verify_locations")
        useCertificate = try load("SSL_CTX_use_certificate_chain_file")
        useKey = try load("SSL_CTX_use_PrivateKey_file")
        setPassphrase = try load("SSL_CTX_set_default_passwd_cb")
        setPassphraseData = try load("SSL_CTX_set_default_passwd_cb_userdata")
        setProtocols = try load("SSL_CTX_set_alpn_protos")
        setNewSession = try load("SSL_CTX_sess_set_new_cb")
        setSessionContext = try load("SSL_CTX_set_session_id_context")
        newConnection = try load("SSL_new")
        freeConnection = try load("SSL_free")
        controlConnection = try load("SSL_ctrl")
        setBuffers = try load("SSL_set_bio")
        setData = try load("SSL_set_ex_data")
        data = try load("SSL_get_ex_data")
        connect = try load("SSL_set_connect_state")
        accept = try load("SSL_set_accept_state")
        isFinished = try load("SSL_is_init_finished")
        handshake = try load("SSL_do_handshake")
        read = try load("SSL_read")
        write = try load("SSL_write")
        shutdown = try load("SSL_shutdown")
        setShutdown = try load("SSL_set_shutdown")
        error = try load("SSL_get_error")
        verifyParameters = try load("SSL_get0_param")
        setHost = try load("SSL_set1_host")
        versionName = try load("SSL_get_version")
        isReused = try load("SSL_session_reused")
        setSession = try load("SSL_set_session")
        freeSession = try load("SSL_SESSION_free")
        storeIndex = try load("SSL_get_ex_data_X509_STORE_CTX_idx")
        setAddress = try load("X509_VERIFY_PARAM_set1_ip_asc")
        setHostFlags = try load("X509_VERIFY_PARAM_set_hostflags")
        storeError = try load("X509_STORE_CTX_get_error")
        storeCertificate = try load("X509_STORE_CTX_get_current_cert")
        storeData = try load("X509_STORE_CTX_get_ex_data")
        verifyText = try load("X509_verify_cert_error_string")
        notBefore = try load("X509_get0_notBefore")
        notAfter = try load("X509_get0_notAfter")
        printTime = try load("ASN1_TIME_print")
        subject = try load("X509_get_subject_name")
        issuer = try load("X509_get_issuer_name")
        printName = try load("X509_NAME_print_ex")
        extensionIndex = try load("X509_get_ext_by_NID")
        certificateExtension = try load("X509_get_ext")
        printExtension = try load("X509V3_EXT_print")
        memoryMethod = try load("BIO_s_mem")
        newBuffer = try load("BIO_new")
        freeBuffer = try load("BIO_free")
        readBuffer = try load("BIO_read")
        writeBuffer = try load("BIO_write")
        nextError = try load("ERR_get_error")
        clearErrors = try load("ERR_clear_error")
        reason = try load("ERR_reason_error_string")
    }
}

/// Values of OpenSSL's headers, which are the same in 1.1.1 and 3 (openssl/ssl.h, openssl/tls1.h, openssl/crypto.h).
extension OpenSSL {
    /// OPENSSL_INIT_NO_ATEXIT, with the texts of errors.
    private static let noExitHandler: UInt64 = 0x0008_0000 | 0x0020_0000 | 0x2
    static let setMinimumVersion: Int32 = 123
    static let minimumVersion: Int32 = 130
    /// X509_CHECK_FLAG_NEVER_CHECK_SUBJECT (openssl/x509v3.h).
    static let neverCheckSubject: UInt32 = 0x20
    static let tls12 = 0x0303
    static let setMode: Int32 = 33
    /// SSL_MODE_RELEASE_BUFFERS: an idle connection holds no record buffers.
    static let releaseBuffers = 0x10
    static let setMaxSendFragment: Int32 = 52
    static let setCacheMode: Int32 = 44
    /// SSL_SESS_CACHE_CLIENT, and SSL_SESS_CACHE_NO_INTERNAL: this module keeps the sessions.
    static let clientCache = 0x1 | 0x300
    static let setServerName: Int32 = 55
    static let noRenegotiation: UInt = 1 << 30
    static let verifyNone: Int32 = 0
    static let verifyPeer: Int32 = 1
    static let verifyAndRequire: Int32 = 3
    static let pem: Int32 = 1
    static let subjectAlternativeName: Int32 = 85
    /// XN_FLAG_ONELINE.
    static let nameFormat: UInt = 0x82031F
    static let wantRead: Int32 = 2
    static let zeroReturn: Int32 = 6
}

extension OpenSSL {
    /// The oldest error of this thread's queue as a number of the library, a reason, and a text; nil where there is none.
    func takeError() -> OpenSSLError? {
        let code = nextError()
        guard code != 0 else { return nil }
        let text = reason(code).map { String(cString: $0) } ?? "error \(String(code, radix: 16))"
        clearErrors()
        // ERR_GET_REASON and ERR_GET_LIB differ between the two.
        return version >= 0x3000_0000
            ? OpenSSLError(library: Int(code >> 23 & 0xFF), reason: Int(code & 0x7F_FFFF), text: text)
            : OpenSSLError(library: Int(code >> 24 & 0xFF), reason: Int(code & 0xFFF), text: text)
    }

    /// What `print` writes to a memory buffer, without line ends.
    func printed(_ print: (Handle) -> Void) -> String {
        guard let buffer = newBuffer(memoryMethod()) else { return "" }
        defer { _ = freeBuffer(buffer) }
        print(buffer)
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = bytes.withUnsafeMutableBytes { readBuffer(buffer, $0.baseAddress, Int32($0.count)) }
        clearErrors()
        let line = bytes.prefix(Int(max(count, 0))).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 }
        return String(decoding: line, as: UTF8.self)
    }
}

/// An entry of OpenSSL's error queue (ERR_get_error(3ssl)).
struct OpenSSLError: Equatable {
    let library: Int
    let reason: Int
    let text: String
}
