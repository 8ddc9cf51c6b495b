// swift-tools-version: 6.0
import PackageDescription

// A package of its own, so that nobody who builds Lifeline needs SwiftNIO.
let package = Package(
    name: "swiftnio",
    dependencies: [.package(url: "https://github.com/apple/swift-nio", from: "2.65.0")],
    targets: [
        .executableTarget(
            name: "swiftnio",
            dependencies: [
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ])
    ]
)
