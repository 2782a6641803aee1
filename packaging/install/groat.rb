# A formula for Homebrew, which builds groat. It has not been run. There is no release yet, whose archive and SHA-256 "url"
# and "sha256" would name: it installs the newest commit.
#
#   brew install --HEAD ./packaging/install/groat.rb
class Groat < Formula
  desc "OAuth access tokens, always fresh"
  homepage "https://github.com/groat-dev/groat"
  license "Apache-2.0"
  head "https://github.com/groat-dev/groat.git", branch: "main"

  depends_on "go" => :build

  def install
    system "make", "build"
    system "make", "install", "PREFIX=#{prefix}"
  end

  service do
    run opt_bin/"groatd"
    keep_alive successful_exit: false
    process_type :interactive
  end

  test do
    assert_match "protocol 1", shell_output("#{bin}/groat --version")
  end
end
