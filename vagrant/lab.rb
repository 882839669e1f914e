# What the Vagrantfile decides: settings checked, the accelerator, the box. Plain Ruby.

require "digest"
require "json"

module Lab
  PROJECT = File.dirname(__dir__)
  BOXES = File.join(PROJECT, "boxes")
  FILES = { "libvirt" => "lab-libvirt.box", "virtualbox" => "lab-virtualbox.box" }.freeze
  # Debian's own. On 2026-11-28 the registry was out of reach of where this was written: not proved.
  FALLBACK = "debian/bookworm64"

  module_function

  def refuse(said, remedy)
    abort "lab: #{said}. Remedy: #{remedy}"
  end

  def number(name, default, range)
    said = ENV.fetch(name, "")
    return default if said.empty?
    return said.to_i if said.match?(/\A[0-9]{1,6}\z/) && range.cover?(said.to_i)

    refuse("#{name}=#{said}", "a whole number from #{range.min} to #{range.max}")
  end

  def word(name, default, known)
    said = ENV.fetch(name, "")
    return default if said.empty?
    return said if known.include?(said)

    refuse("#{name}=#{said}", "#{known.join(' or ')}")
  end

  # The verdict that bench/accelerator.py keeps; it holds for the kernel it was found with.
  def verdict
    home = ENV["LAB_HOME"] || File.join(ENV["XDG_DATA_HOME"] || File.expand_path("~/.local/share"),
                                        "vm-container-lab")
    kept = JSON.parse(File.read(File.join(home, "accelerator.json")))
    kernel = File.read("/proc/sys/kernel/osrelease").strip
    kept["accelerator"] if kept["holds_for"]["kernel"] == kernel
  rescue SystemCallError, JSON::ParserError, NoMethodError, TypeError
    nil
  end

  def accelerator
    word("LAB_ACCEL", verdict || "tcg", %w[kvm tcg])
  end

  # The project's own box for a provider: its name and address, or nil.
  def own_box(provider)
    facts = own_facts
    file = facts && facts["files"][FILES[provider]]
    return unless file && File.exist?(File.join(BOXES, FILES[provider]))

    { name: "vm-container-lab-#{file['sha256'][0, 12]}",
      url: "file://#{File.join(BOXES, FILES[provider])}", sha256: file["sha256"] }
  end

  def own_facts
    JSON.parse(File.read(File.join(BOXES, "box.json")))
  rescue Errno::ENOENT
    nil
  rescue JSON::ParserError
    refuse("#{BOXES}/box.json is damaged", "sudo ./lab box")
  end

  # What has changed in the project since the box was built of it.
  def outdated
    return [] unless (facts = own_facts)

    facts["inputs"].reject do |path, sum|
      file = File.join(PROJECT, path)
      File.file?(file) && Digest::SHA256.file(file).hexdigest == sum
    end.keys
  end

  def choose_box(config, provider)
    if ENV["LAB_BOX"] || ENV["LAB_BOX_URL"]
      config.vm.box = ENV["LAB_BOX"] || "vm-container-lab-by-address"
      config.vm.box_url = ENV["LAB_BOX_URL"] if ENV["LAB_BOX_URL"]
    elsif (box = own_box(provider))
      config.vm.box = box[:name]
      config.vm.box_url = box[:url]
      config.vm.box_download_checksum = box[:sha256]
      config.vm.box_download_checksum_type = "sha256"
    else
      config.vm.box = FALLBACK
    end
  end

  def tell_outdated_box(machine)
    return unless machine.config.vm.box.start_with?("vm-container-lab-")
    return if (changed = outdated).empty?

    machine.ui.warn("lab: the box is of another version of the project (#{changed.first}). " \
                    "Remedy: sudo ./lab box, or the box of this version in boxes/")
  end

  # Where a machine runs (provision also tells of those that don't).
  def tell_address(machine)
    return unless machine.state.id == :running

    token = +""
    machine.communicate.execute("lab-token") { |kind, data| token << data if kind == :stdout }
    machine.ui.success("lab: JupyterLab is at http://127.0.0.1:#{port(machine)}/lab?token=#{token.strip}")
  end
end
