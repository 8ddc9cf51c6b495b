// swift-tools-version: 6.2
import PackageDescription

// The parent forks, so the server is built without Foundation and fully static in release: a small image forks fast.
// Unsafe flags stand on the executables alone; the libraries stay free of them, so that other packages can use them.
let fullyStatic: [LinkerSetting] = [
    // A dynamic server takes 95 % more processor time for a short connection, and 45 page faults for 16. Segments begin on
    // huge pages, which the code is moved to: 3 %, and one page fault (tools/dev/cost measures both).
    .unsafeFlags(
        ["-static-executable", "-Xlinker", "-z", "-Xlinker", "max-page-size=0x200000"],
        .when(platforms: [.linux], configuration: .release))
]
// The client never forks and resolves host names, which needs the C library of the machine it runs on.
let staticRuntime: [LinkerSetting] = [
    .unsafeFlags(["-static-stdlib"], .when(platforms: [.linux], configuration: .release))
]

let package = Package(
    name: "lifeline",
    products: [
        .library(name: "LifelineServer", targets: ["LifelineServer"]),
        .library(name: "LifelineClient", targets: ["LifelineClient"]),
        .executable(name: "server", targets: ["server"]),
        .executable(name: "client", targets: ["client"]),
        .executable(name: "conformance", targets: ["conformance"]),
    ],
    targets: [
        // Instants and containers that every other module uses. It imports nothing.
        .target(name: "Basics"),
        // Pure: bytes and instants in, frames and deadlines out.
        .target(name: "Framing", dependencies: ["Basics"]),
        .target(name: "Liveness", dependencies: ["Basics", "Framing"]),
        // What a proxy writes before a client's first byte. It imports nothing.
        .target(name: "ProxyProtocol"),
        // The only door to the kernel.
        .target(name: "CPosix"),
        .target(name: "Posix", dependencies: ["Basics", "CPosix"]),
        // What a process does about what it inherits.
        .target(name: "Inheritance", dependencies: ["Posix"]),
        // What a static program has in place of the dynamic loader. The client must not have it: it loads what it needs.
        .target(
            name: "CStatic", cSettings: [.define("FULLY_STATIC", .when(platforms: [.linux], configuration: .release))]),
        // The system's OpenSSL, found at run time.
        .target(name: "SystemTLS", dependencies: ["Posix"]),
        // The two sides.
        .target(
            name: "LifelineServer",
            dependencies: ["Basics", "Framing", "Liveness", "ProxyProtocol", "Posix", "Inheritance"]),
        .target(name: "LifelineClient", dependencies: ["Basics", "Framing", "Liveness", "Posix", "SystemTLS"]),
        // Many connections for a measurement, from one thread.
        .target(name: "LoadGenerator", dependencies: ["Basics", "Framing", "Posix", "SystemTLS"]),
        // The commands.
        .target(name: "Arguments", dependencies: ["Basics"]),
        .executableTarget(
            name: "server",
            dependencies: ["LifelineServer", "Basics", "Framing", "Posix", "Inheritance", "Arguments", "CStatic"],
            linkerSettings: fullyStatic),
        .executableTarget(
            name: "client",
            dependencies: [
                "LifelineClient", "LoadGenerator", "Basics", "Framing", "Posix", "Inheritance", "Arguments",
            ],
            linkerSettings: staticRuntime),
        // Raw bytes and sockets with deadlines, for whoever judges an implementation: it shares no encoder, decoder or
        // constant with Framing.
        .target(name: "RawWire"),
        .executableTarget(
            name: "conformance", dependencies: ["Basics", "RawWire", "Posix", "SystemTLS", "Inheritance", "Arguments"],
            linkerSettings: staticRuntime
        ),
        // A server for the tests, with a handler that does what it is asked: block, stream, break.
        .executableTarget(
            name: "handlers", dependencies: ["LifelineServer", "Basics", "Posix", "Arguments", "CStatic"],
            path: "Tests/handlers",
            linkerSettings: fullyStatic),
        // A client for the test bed of networks, with requests in flight and one-way messages.
        .executableTarget(
            name: "traffic", dependencies: ["LifelineClient", "Posix", "Arguments"], path: "Tests/traffic",
            linkerSettings: staticRuntime),
        // Certificates for the tests of TLS.
        .target(name: "TestCertificates", dependencies: ["RawWire"], path: "Tests/certificates"),
        // The pure modules are tested with bytes and instants alone: no socket, no clock, no sleep.
        .testTarget(name: "FramingTests", dependencies: ["Basics", "Framing", "RawWire"]),
        .testTarget(name: "ProxyProtocolTests", dependencies: ["ProxyProtocol", "RawWire"]),
        .testTarget(name: "SystemTLSTests", dependencies: ["SystemTLS", "TestCertificates"]),
        .testTarget(name: "LivenessTests", dependencies: ["Basics", "Liveness", "Framing", "RawWire"]),
        // The doors to the kernel, where it refuses: each test says what a call returns.
        .testTarget(name: "PosixTests", dependencies: ["Posix", "Basics"]),
        .testTarget(name: "InheritanceTests", dependencies: ["Inheritance"]),
        .testTarget(
            name: "LifelineServerTests",
            dependencies: ["LifelineServer", "Basics", "Framing", "Liveness", "ProxyProtocol", "Posix", "RawWire"]),
        .testTarget(
            name: "LifelineClientTests", dependencies: ["LifelineClient", "Basics", "Framing", "Liveness", "Posix"]),
        .testTarget(name: "LoadGeneratorTests", dependencies: ["LoadGenerator", "Basics", "Framing"]),
        .testTarget(name: "ArgumentsTests", dependencies: ["Arguments", "Basics"]),
        .testTarget(
            name: "ClientCommandTests", dependencies: ["client", "LifelineClient", "Basics", "Framing"]),
        .testTarget(name: "ServerCommandTests", dependencies: ["server", "LifelineServer", "Arguments"]),
        // The report, and what it makes of bytes.
        .testTarget(name: "ConformanceReportTests", dependencies: ["conformance", "Posix", "RawWire"]),
        // Judges the built commands by their bytes alone: it depends on them to have them built, and shares no encoder,
        // decoder or constant with them.
        .testTarget(
            name: "ConformanceTests",
            dependencies: [
                "server", "client", "conformance", "handlers", "LifelineClient", "Posix", "RawWire", "SystemTLS",
                "TestCertificates",
            ]),
    ]
)

// A file sees what a module adds to a type of another module only where it imports that module: a rule that does not import
// Posix cannot read a clock.
for target in package.targets { target.swiftSettings = [.enableUpcomingFeature("MemberImportVisibility")] }

// The tests run the judge five times over, with over 700 cases each: optimised it takes a third less processor time of the whole
// suite (swift test --filter ConformanceSuite: 63 s instead of 100).
for target in package.targets where ["RawWire", "conformance"].contains(target.name) {
    target.swiftSettings! += [.unsafeFlags(["-O"], .when(configuration: .debug))]
}
